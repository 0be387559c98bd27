package zkstream_test

import (
	"testing"

	"github.com/zkstream/zkstream"
	"github.com/zkstream/zkstream/zktest"
)

func TestDecodeTakesEitherKindOfStream(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte(`{"n": 1}`))
		type settings struct{ N int }
		a := zkstream.Decode[settings](c.Properties(t.Context(), "/a"))
		b := zkstream.Decode[settings](c.Properties(t.Context(), "/a").Stream)
		filtered := zkstream.Decode[settings](zkstream.Filter(c.Properties(t.Context(), "/a").Stream, zkstream.Properties.Exists))
		for _, s := range []*zkstream.Stream[zkstream.Decoded[settings]]{a, b, filtered} {
			if d := next(t, s); d.Value.N != 1 || d.Err != nil || !d.Exists {
				t.Errorf("received %+v", d)
			}
		}
	})
}

func TestDecodeKeepsNothingThatItHasHandedOut(t *testing.T) {
	inBubble(t, func(t *testing.T, server *zktest.Server, c *zkstream.Client) {
		server.Create("/a", []byte(`bad`))
		s := zkstream.Decode[map[string]int](c.Properties(t.Context(), "/a"))
		if d := next(t, s); d.Err == nil || d.Value != nil {
			t.Errorf("received %+v before there was a good one", d)
		}
		server.Set("/a", []byte(`{"n": 1}`))
		d := next(t, s)
		for range 3 {
			d.Value["n"]++ // the consumer's own
			server.Set("/a", []byte(`{"n": "one"}`))
			if d = next(t, s); d.Err == nil || d.Value["n"] != 1 {
				t.Errorf("received %+v", d)
			}
		}
		server.Delete("/a")
		if d = next(t, s); d.Exists || d.Value != nil || d.Err != nil {
			t.Errorf("received %+v", d)
		}
	})
}
