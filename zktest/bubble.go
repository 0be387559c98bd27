package zktest

import "time"

// inBubble tells whether it is called in a testing/synctest bubble, where time begins with the year 2000. There is
// no other way to know.
func inBubble() bool { return time.Now().Year() < 2020 }

// checkBubble panics if the server is reached from where it cannot be served, which would be a fatal error of the
// runtime's that nobody could read anything from.
func (e *Ensemble) checkBubble() {
	switch {
	case e.bubble == inBubble():
	case e.bubble:
		panic("zktest: a server that was made in a synctest bubble is dialled from outside")
	default:
		panic("zktest: a server that was made outside is dialled from a synctest bubble: make it in the bubble, too")
	}
}
