package zktest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// panics gives what f panics with.
func panics(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// The mistakes with bubbles, which would end the test binary without a word that helps, or hang.
func TestMistakesWithBubblesPanicWithAWordThatHelps(t *testing.T) {
	outside := Start(t)
	outside.Addr()
	synctest.Test(t, func(t *testing.T) {
		if got := panics(func() { outside.Dial(t.Context(), "tcp", "") }); !strings.Contains(got, "make it in the bubble") {
			t.Error(got)
		}
		if got := panics(func() { outside.Dialer("a").Dial(t.Context(), "tcp", "") }); !strings.Contains(got, "make it in the bubble") {
			t.Error(got)
		}
		inside := Start(t)
		if got := panics(func() { inside.Addr() }); !strings.Contains(got, "through Dial") {
			t.Error(got)
		}
		rawDial(t, inside)
	})
	rawDial(t, outside)
}
