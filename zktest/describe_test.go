package zktest

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// place puts a request's paths below the world's root.
// Its relative zxid becomes one near the last that the client has seen.
func (w *world) place(r request, lastZxid int64) request {
	r.path = w.place1(r.path)
	r.multi = slices.Clone(r.multi)
	for i := range r.multi {
		r.multi[i] = w.place(r.multi[i], lastZxid)
	}
	if r.watches != nil {
		lists := *r.watches
		lists.relativeZxid = lastZxid - lists.relativeZxid
		for _, list := range []*[]string{&lists.data, &lists.exist, &lists.child, &lists.persistent, &lists.recursive} {
			*list = slices.Clone(*list)
			for i, path := range *list {
				(*list)[i] = w.place1(path)
			}
		}
		r.watches = &lists
	}
	return r
}

func (w *world) place1(path string) string { return strings.Replace(path, "~", w.root, 1) }
func (w *world) unplace(path string) string {
	return strings.Replace(path, w.root, "~", 1)
}

func (w *world) zxidName(z int64) string {
	if z <= 0 {
		return fmt.Sprint(z)
	}
	return fmt.Sprintf("%+d", z-w.zxid)
}

// describe writes a frame down, field by field. Bytes that it does not understand are written in hex.
func (w *world) describe(c *peer, req request, frame []byte) string {
	d := &decoder{buf: frame}
	xid, zxid, code := d.int32(), d.int64(), d.int32()
	if xid == -1 {
		typ, state, path := d.int32(), d.int32(), w.text(d)
		return fmt.Sprintf("event type %d state %d %s zxid %s err %d%s", typ, state, path, w.zxidName(zxid), code, rest(d))
	}
	if zxid > 0 {
		c.lastZxid = zxid
	}
	text := fmt.Sprintf("reply xid %d zxid %s err %d", xid, w.zxidName(zxid), code)
	if len(d.buf) > 0 {
		text += w.describeBody(req, d)
	}
	return text + rest(d)
}

func rest(d *decoder) string {
	switch {
	case d.bad:
		return " TRUNCATED"
	case len(d.buf) > 0:
		return " rest " + hex.EncodeToString(d.buf)
	}
	return ""
}

func (w *world) describeBody(req request, d *decoder) string {
	switch req.op {
	case OpCreate, OpSync:
		return " path " + w.text(d)
	case OpCreate2, OpCreateContainer, OpCreateTTL:
		return " path " + w.text(d) + w.stat(d, "-")
	case OpExists, OpSetData, OpSetACL:
		return w.stat(d, req.path)
	case OpGetData:
		return w.data(d) + w.stat(d, req.path)
	case OpGetChildren, OpGetEphemerals:
		return w.list(d, req.path)
	case OpGetChildren2:
		return w.list(d, req.path) + w.stat(d, req.path)
	case OpGetACL:
		return w.acl(d) + w.stat(d, req.path)
	case OpGetAllChildrenNumber:
		if n := d.int32(); req.path != "/" && req.path != "" {
			return fmt.Sprintf(" number %d", n)
		}
	case OpMulti, OpMultiRead:
		return w.results(req, d)
	case OpWhoAmI:
		var ids []string
		for range d.int32() {
			ids = append(ids, w.text(d)+":"+w.text(d))
		}
		slices.Sort(ids)
		return fmt.Sprintf(" ids %q", ids)
	}
	return ""
}

func (w *world) results(req request, d *decoder) (text string) {
	for i := 0; ; i++ {
		typ, done, code := Op(d.int32()), d.bool(), d.int32()
		text += fmt.Sprintf("\n\t\tresult %d done %v err %d", typ, done, code)
		if done || d.bad {
			return text
		}
		var path string
		if i < len(req.multi) {
			path = req.multi[i].path
		}
		switch typ {
		case OpCreate:
			text += " path " + w.text(d)
		case OpCreate2, OpCreateContainer, OpCreateTTL:
			text += " path " + w.text(d) + w.stat(d, "-")
		case OpSetData:
			text += w.stat(d, path)
		case OpGetData:
			text += w.data(d) + w.stat(d, path)
		case OpGetChildren:
			text += w.list(d, path)
		case opError:
			text += fmt.Sprintf(" code %d", d.int32())
		}
	}
}

func (w *world) text(d *decoder) string {
	s, ok := d.string()
	if !ok {
		return "null"
	}
	return strconv.QuoteToASCII(w.unplace(s))
}

func (w *world) data(d *decoder) string {
	if b := d.bytes(); b != nil {
		return fmt.Sprintf(" data %.20q", b)
	}
	return " data null"
}

func (w *world) list(d *decoder, path string) string {
	var names []string
	for range d.int32() {
		names = append(names, w.text(d))
	}
	if path == "/" || path == "" {
		return " a list"
	}
	slices.Sort(names)
	return fmt.Sprintf(" list %s", names)
}

func (w *world) acl(d *decoder) string {
	var list []string
	for range d.int32() {
		list = append(list, fmt.Sprintf("%d %s:%s", d.int32(), w.text(d), w.text(d)))
	}
	slices.Sort(list) // "auth" is replaced by a hash set of identities
	return fmt.Sprintf(" acl %s", list)
}

// stat writes a stat down. The root's counts depend on the worlds before this one.
func (w *world) stat(d *decoder, path string) string {
	st := readStat(d)
	if path == "/" || path == "" {
		st.Cversion -= w.rootStat.Cversion
		st.NumChildren -= w.rootStat.NumChildren
		st.Version -= w.rootStat.Version
		st.Aversion -= w.rootStat.Aversion
	}
	owner := fmt.Sprintf("%x", uint64(st.EphemeralOwner))
	if isEphemeral(st.EphemeralOwner) {
		owner = w.number(st.EphemeralOwner)
	}
	return fmt.Sprintf(" stat c%s m%s p%s version %d cversion %d aversion %d owner %s length %d children %d",
		w.zxidName(st.Czxid), w.zxidName(st.Mzxid), w.zxidName(st.Pzxid), st.Version, st.Cversion, st.Aversion,
		owner, st.DataLength, st.NumChildren)
}

func readStat(d *decoder) Stat {
	return Stat{
		Czxid: d.int64(), Mzxid: d.int64(), Ctime: d.int64(), Mtime: d.int64(),
		Version: d.int32(), Cversion: d.int32(), Aversion: d.int32(), EphemeralOwner: d.int64(),
		DataLength: d.int32(), NumChildren: d.int32(), Pzxid: d.int64(),
	}
}
