// Package member keeps lists without order whose members know their place in it, so that one is taken out without a search.
package member

// Add puts m into list. place returns where a member keeps its place.
func Add[M any](list []M, m M, place func(M) *int32) []M {
	*place(m) = int32(len(list))
	return append(list, m)
}

// Remove takes m out of list and reports whether it was in. The last member moves to its place. An empty list is nil.
func Remove[M comparable](list []M, m M, place func(M) *int32) ([]M, bool) {
	i, last := int(*place(m)), len(list)-1
	if i > last || list[i] != m {
		return list, false
	}
	list[i] = list[last]
	*place(list[i]) = int32(i)
	clear(list[last:])
	if last == 0 {
		return nil, true
	}
	return list[:last], true
}
