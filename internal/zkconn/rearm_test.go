package zkconn

import (
	"slices"
	"strings"
	"testing"
)

// A packet has as many paths as it may, one path at least, and all of them are in one packet each.
func TestPathsAreSplitIntoPackets(t *testing.T) {
	const most = 40
	path := func(length int) string { return "/" + strings.Repeat("x", length-5) } // with its length of 4 bytes
	for _, lengths := range [][]int{
		nil, {most}, {most + 1}, {20, 20}, {20, 21}, {20, 20, 20, 20, 20}, {most + 1, 5}, {5, most + 1}, {39, 5, 36, 5, 35, 5},
	} {
		all := Paths{}
		for i, length := range lengths {
			list := []*[]string{&all.Data, &all.Exist, &all.Child}[i*3/len(lengths)]
			*list = append(*list, path(length))
			all.length += length
		}
		var got []string
		parts := all.split(most)
		for i, part := range parts {
			paths := slices.Concat(part.Data, part.Exist, part.Child)
			length := 0
			for _, p := range paths {
				length += 4 + len(p)
			}
			switch {
			case length != part.length:
				t.Errorf("%v: part %d says that it has %d bytes, and has %d", lengths, i, part.length, length)
			case len(paths) == 0 || length > most && len(paths) > 1:
				t.Errorf("%v: part %d has %d paths in %d bytes", lengths, i, len(paths), length)
			case i > 0 && parts[i-1].length+4+len(paths[0]) <= most:
				t.Errorf("%v: part %d begins although the one before has room", lengths, i)
			}
			got = append(got, paths...)
		}
		if want := slices.Concat(all.Data, all.Exist, all.Child); !slices.Equal(got, want) {
			t.Errorf("%v: the parts have %d paths, want %d", lengths, len(got), len(want))
		}
	}
}
