package ui

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// policy lets the page use its own script, style sheet and requests, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard keeps the pages of others away from h, which anybody may have open in the same browser.
//
// A page cannot read the answers to requests that it sends to another origin. But its server may give its own name the
// address of this machine (DNS rebinding). Then this is the page's own origin, and it can read all. What it cannot change is
// the Host header, in which the browser puts that name. So only names are served that nobody else can give an address to: addresses
// themselves, localhost, the name of this machine, and what hosts has.
//
// Requests that change something are sent across origins all the same, and only the answer is kept from the page
// (CSRF). [http.CrossOriginProtection] refuses these, by what browsers say of where a request comes from.
func guard(h http.Handler, hosts []string) http.Handler {
	own, _ := os.Hostname()
	crossOrigin := http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		if !served(r.Host, own, hosts) {
			http.Error(w, "This page is not served by that name; see the flag --host.", http.StatusForbidden)
			return
		}
		// A link to the page is fine. Its data are for the page alone.
		site := r.Header.Get("Sec-Fetch-Site")
		if strings.HasPrefix(r.URL.Path, "/api/") && (site == "cross-site" || site == "same-site") {
			http.Error(w, "This is for the page itself.", http.StatusForbidden)
			return
		}
		crossOrigin.ServeHTTP(w, r)
	})
}

// served reports whether the page is served to who asks for it by that Host header.
func served(host, own string, hosts []string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	same := func(h string) bool { return h != "" && strings.EqualFold(h, name) }
	return same("localhost") || same(own) || slices.ContainsFunc(hosts, same)
}
