package compat

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// outcome is how a test of another suite ended.
type outcome string

const (
	missed  outcome = "" // it did not run
	passed  outcome = "passed"
	failed  outcome = "failed"
	skipped outcome = "skipped"
)

// result is an outcome and what the suite said of it.
type result struct {
	how outcome
	why string
}

func (r result) String() string {
	if r.how == missed {
		return "did not run"
	}
	return string(r.how)
}

// outcomes are the results of a suite's tests, by name.
type outcomes map[string]result

func (o outcomes) String() string {
	count := map[outcome]int{}
	for _, r := range o {
		count[r.how]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", count[passed], count[failed], count[skipped])
}

// repeats is how often a test that ended worse on zktest is run again.
const repeats = 2

// judge tells how a suite went, and fails the test if it went worse on zktest. Tests are run again by run,
// which may run others too.
func judge(t *testing.T, real, fake outcomes, run func(names []string) (real, fake outcomes)) {
	t.Helper()
	t.Logf("real server: %v", real)
	t.Logf("zktest:      %v", fake)
	for _, name := range slices.Sorted(maps.Keys(real)) {
		if r, f := real[name], fake[name]; r.how != passed || f.how != passed {
			t.Logf("%s: %v on the real server, %v on zktest%s%s", name, r, f, tail(r.why), tail(f.why))
		}
	}
	different, unsteady := compare(real, fake, run)
	for _, what := range unsteady {
		t.Log("unsteady: " + what)
	}
	for _, what := range different {
		t.Error("different: " + what)
	}
}

// compare finds the tests that do not pass on zktest. Every suite has tests that fail now and then, on any server,
// so those are run again on both. A test is different if it fails at least twice more often on zktest than
// on the real server, and unsteady otherwise.
func compare(real, fake outcomes, run func(names []string) (real, fake outcomes)) (different, unsteady []string) {
	var suspects []string
	for _, name := range slices.Sorted(maps.Keys(real)) {
		if fake[name].how != passed && !(real[name].how == skipped && fake[name].how == skipped) {
			suspects = append(suspects, name)
		}
	}
	if len(suspects) == 0 {
		return nil, nil
	}
	realFailures, fakeFailures := map[string]int{}, map[string]int{}
	for try := 0; ; try++ {
		for _, name := range suspects {
			if real[name].how != passed {
				realFailures[name]++
			}
			if fake[name].how != passed {
				fakeFailures[name]++
			}
		}
		if try == repeats {
			break
		}
		real, fake = run(suspects)
	}
	for _, name := range suspects {
		summary := fmt.Sprintf("%s: failed on zktest %d times in %d, on the real server %d times",
			name, fakeFailures[name], 1+repeats, realFailures[name])
		if fakeFailures[name] >= realFailures[name]+2 {
			different = append(different, summary)
		} else {
			unsteady = append(unsteady, summary)
		}
	}
	return different, unsteady
}

// tail is the end of what a suite said of a test, on lines of its own.
func tail(text string) string {
	const most = 3000
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return "\n" + text
}

func TestOnlyWhatFailsOftenerOnZktestIsDifferent(t *testing.T) {
	suite := func(how ...outcome) outcomes {
		all := outcomes{}
		for i, how := range how {
			if how != missed {
				all[fmt.Sprint("test", i)] = result{how: how}
			}
		}
		return all
	}
	for _, c := range []struct {
		name                             string
		real, fake, realAgain, fakeAgain outcomes
		different, unsteady              int
	}{
		{"both pass", suite(passed, passed), suite(passed, passed), nil, nil, 0, 0},
		{"zktest alone passes", suite(failed, skipped), suite(passed, passed), nil, nil, 0, 0},
		{"both skip", suite(skipped), suite(skipped), nil, nil, 0, 0},
		{"both fail", suite(failed), suite(failed), suite(failed), suite(failed), 0, 1},
		{"both failed, then one", suite(failed), suite(failed), suite(passed), suite(failed), 1, 0},
		{"zktest always fails", suite(passed), suite(failed), suite(passed), suite(failed), 1, 0},
		{"zktest always skips", suite(passed), suite(skipped), suite(passed), suite(skipped), 1, 0},
		{"zktest never runs it", suite(passed), suite(), suite(passed), suite(), 1, 0},
		{"zktest failed once", suite(passed), suite(failed), suite(passed), suite(passed), 0, 1},
		{"both fail later", suite(passed), suite(failed), suite(failed), suite(failed), 0, 1},
		{"one of two is different", suite(passed, passed), suite(failed, failed),
			suite(passed, passed), suite(failed, passed), 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			different, unsteady := compare(c.real, c.fake, func([]string) (real, fake outcomes) {
				if c.realAgain == nil {
					t.Error("it ran again")
				}
				return c.realAgain, c.fakeAgain
			})
			if len(different) != c.different || len(unsteady) != c.unsteady {
				t.Errorf("different %q, unsteady %q", different, unsteady)
			}
		})
	}
}
