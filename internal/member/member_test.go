package member

import "testing"

type thing struct{ place int32 }

func place(m *thing) *int32 { return &m.place }

func TestMembersKnowTheirPlaces(t *testing.T) {
	var list []*thing
	a, b, c := &thing{}, &thing{}, &thing{}
	for _, m := range []*thing{a, b, c} {
		list = Add(list, m, place)
	}
	for i, want := range []struct {
		m       *thing
		removed bool
		left    int
	}{{a, true, 2}, {a, false, 2}, {c, true, 1}, {&thing{}, false, 1}, {b, true, 0}, {b, false, 0}} {
		var removed bool
		if list, removed = Remove(list, want.m, place); removed != want.removed || len(list) != want.left || want.left == 0 && list != nil {
			t.Errorf("%d: %t, %d are left", i, removed, len(list))
		}
	}
}
