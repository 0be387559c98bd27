package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-zookeeper/zk"
	"github.com/zkstream/zkstream"
)

// outputFormat is the value of --output.
type outputFormat bool

const (
	textOutput outputFormat = false
	jsonOutput outputFormat = true
)

func (f *outputFormat) String() string {
	if *f == jsonOutput {
		return "json"
	}
	return "text"
}

func (f *outputFormat) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("neither text nor json")
	}
	*f = s == "json"
	return nil
}

func (f *outputFormat) Type() string { return "format" }

// printJSON writes a value on a line.
func (c *cli) printJSON(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printPath writes the path of a node that was made.
func (c *cli) printPath(path string) error {
	if c.output == jsonOutput {
		return c.printJSON(map[string]string{"path": path})
	}
	_, err := fmt.Fprintln(c.out, path)
	return err
}

// statJSON is a node's metadata, with the names that ZooKeeper's own command gives them. Zxids and sessions have 64 bits, which
// many a reader of JSON rounds, so they are text.
type statJSON struct {
	Czxid          string `json:"czxid"`
	Ctime          string `json:"ctime"`
	Mzxid          string `json:"mzxid"`
	Mtime          string `json:"mtime"`
	Pzxid          string `json:"pzxid"`
	Cversion       int32  `json:"cversion"`
	DataVersion    int32  `json:"dataVersion"`
	ACLVersion     int32  `json:"aclVersion"`
	EphemeralOwner string `json:"ephemeralOwner,omitempty"`
	DataLength     int32  `json:"dataLength"`
	NumChildren    int32  `json:"numChildren"`
}

func newStatJSON(s zk.Stat) *statJSON {
	j := &statJSON{
		Czxid:       hex(s.Czxid),
		Ctime:       timeText(s.Ctime),
		Mzxid:       hex(s.Mzxid),
		Mtime:       timeText(s.Mtime),
		Pzxid:       hex(s.Pzxid),
		Cversion:    s.Cversion,
		DataVersion: s.Version,
		ACLVersion:  s.Aversion,
		DataLength:  s.DataLength,
		NumChildren: s.NumChildren,
	}
	if s.EphemeralOwner != 0 {
		j.EphemeralOwner = hex(s.EphemeralOwner)
	}
	return j
}

// hex writes a zxid, or a session's ID, as ZooKeeper does.
func hex(n int64) string { return fmt.Sprintf("0x%x", uint64(n)) }

// timeText writes milliseconds since 1970.
func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// nowText writes the time that it is.
func nowText() string { return timeText(time.Now().UnixMilli()) }

// nodeJSON is a node. It has one of Text and Base64, unless the content was not read.
type nodeJSON struct {
	Path   string    `json:"path"`
	Exists bool      `json:"exists"`
	Text   *string   `json:"text,omitempty"`
	Base64 []byte    `json:"base64,omitempty"`
	Error  string    `json:"error,omitempty"`
	Stat   *statJSON `json:"stat,omitempty"`
}

func newNodeJSON(d zkstream.Data, withContent bool) nodeJSON {
	j := nodeJSON{Path: d.Path(), Exists: d.Exists()}
	if !j.Exists {
		return j
	}
	j.Stat = newStatJSON(d.Stat())
	if err := d.Err(); err != nil {
		j.Error = err.Error()
		return j
	}
	if content := d.Bytes(); !withContent {
	} else if utf8.Valid(content) {
		text := string(content)
		j.Text = &text
	} else {
		j.Base64 = content
	}
	return j
}

// printable reports whether content may be shown on a terminal as it is.
func printable(content []byte) bool {
	return utf8.Valid(content) && !bytes.ContainsFunc(content, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	})
}

// oneLine shows content in at most limit characters of a line; 0 means no limit. What is not printable is escaped.
func oneLine(content string, limit int) string {
	short := content
	if limit > 0 {
		n := 0
		for i := range content {
			if n++; n == limit {
				short = content[:i] + "…"
				if utf8.RuneCountInString(content[i:]) == 1 {
					short = content
				}
				break
			}
		}
	}
	if utf8.ValidString(short) && !strings.ContainsFunc(short, func(r rune) bool { return r != ' ' && !unicode.IsGraphic(r) }) {
		return short
	}
	return strconv.Quote(short)
}
