package zkdebug

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"visible": visible,
	"style":   func() template.CSS { return template.CSS(pageCSS) },
	"took":    func(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) },
	"clock":   func(t time.Time) string { return t.Format("15:04:05.000") },
	"stamp":   func(t time.Time) string { return t.Format(time.RFC3339) },
}).Parse(pageHTML))

// policy allows the page's own style sheet, a form that comes back here, and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// perPage is how many watches, or registrations, are on a page.
const perPage = 200

// A view is a report as the page shows it: what needs attention comes first, and of long lists there is a page.
type view struct {
	report
	Recorded bool          // there is a Recorder
	Query    string        // only paths with this in them are shown
	Refresh  int           // seconds; 0: the page stays as it is
	Since    time.Duration // since the session's state began
	Troubled int           // watches that are not current, or whose consumers are behind
	Nodes    int           // that are watched
	Page     int           // from 1
	Pages    int
	query    url.Values

	// What is on this page of the two lists that may be long.
	ShownWatches       []watch
	ShownRegistrations []registration
}

func (h *handler) view(rep report, asked url.Values) view {
	v := view{report: rep, Recorded: h.recorder != nil, Query: asked.Get("q"), query: asked}
	if n, err := strconv.Atoi(asked.Get("refresh")); err == nil && n > 0 {
		v.Refresh = min(n, 3600)
	}
	if rep.Session.Since != nil {
		v.Since = rep.Time.Sub(*rep.Session.Since)
	}
	for _, w := range rep.Watches {
		v.Nodes += w.Nodes
		if w.trouble() > 0 {
			v.Troubled++
		}
	}
	slices.SortStableFunc(v.Watches, func(a, b watch) int { return cmp.Or(cmp.Compare(b.trouble(), a.trouble()), cmp.Compare(b.Lag, a.Lag)) })
	slices.SortStableFunc(v.Registrations, func(a, b registration) int { return cmp.Compare(b.trouble(), a.trouble()) })
	v.Pages = max(1, (max(len(v.Watches), len(v.Registrations))+perPage-1)/perPage)
	n, _ := strconv.Atoi(asked.Get("page"))
	v.Page = min(max(n, 1), v.Pages)
	v.ShownWatches, v.ShownRegistrations = onPage(v.Watches, v.Page), onPage(v.Registrations, v.Page)
	return v
}

// trouble is greater for what needs more attention, and 0 if nothing does.
func (w watch) trouble() int {
	switch {
	case w.State == "failing":
		return 3
	case w.Lag > 1 || w.Waiting > 1: // which is to the second
		return 2
	case w.State != "current":
		return 1
	}
	return 0
}

func (r registration) trouble() int {
	if r.Status == "registered" {
		return 0
	}
	return 1
}

// Mark is the class of a row in a table.
func (w watch) Mark() string { return [...]string{"", "stale", "slow", "bad"}[w.trouble()] }

// Mark is the class of a row in a table.
func (r registration) Mark() string { return [...]string{"", "bad"}[r.trouble()] }

func onPage[T any](all []T, page int) []T {
	from := min((page-1)*perPage, len(all))
	return all[from:min(from+perPage, len(all))]
}

// With returns a link to this page with one parameter changed, or without it if value is "".
func (v view) With(key, value string) string {
	q := url.Values{}
	for _, k := range []string{"q", "page", "refresh", "format"} {
		if old := v.query.Get(k); old != "" {
			q.Set(k, old)
		}
	}
	q.Set(key, value)
	if value == "" {
		q.Del(key)
	}
	return "?" + q.Encode()
}

// Before and After are the numbers of the pages beside this one, "" if there is none.
func (v view) Before() string { return pageNumber(v.Page-1, v.Pages) }
func (v view) After() string  { return pageNumber(v.Page+1, v.Pages) }

func pageNumber(n, pages int) string {
	if n < 1 || n > pages {
		return ""
	}
	return strconv.Itoa(n)
}

// visible shows what is not printable, and what would change the direction of the text around it, by escapes.
func visible(s string) string {
	q := strconv.Quote(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// short writes a duration with two or three digits.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= 100*time.Millisecond:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	return d.String()
}
