package zktest

import (
	"crypto/sha1"
	"encoding/base64"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Permission bits of an ACL entry.
const (
	permRead   = 1
	permWrite  = 2
	permCreate = 4
	permDelete = 8
	permAdmin  = 16
	permAll    = 31
)

// aclEntry grants perms to an identity. The null flags are kept from the wire, because the real
// server answers them with other codes than it does empty strings.
type aclEntry struct {
	perms      int32
	scheme, id string
	nullScheme bool
	nullID     bool
}

// identity is what a connection has proved to be: its address, and a digest for each auth request.
type identity struct{ scheme, id string }

// aclList is a node's ACL. Nodes with equal ACLs share one list, which is never changed.
type aclList []aclEntry

var (
	openACL     = aclList{{perms: permAll, scheme: "world", id: "anyone"}}
	readOnlyACL = aclList{{perms: permRead, scheme: "world", id: "anyone"}}
)

// fixACL checks the ACL that a client wants to set and puts the client's identities in place of the
// scheme "auth", as PrepRequestProcessor.fixupACL does.
func fixACL(list []aclEntry, ids []identity, r release) (aclList, Code) {
	if len(list) == 0 {
		return nil, ErrInvalidACL
	}
	var unique, fixed aclList
	for _, a := range list {
		if !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	for _, a := range unique {
		switch {
		case a.nullScheme:
			return nil, ErrInvalidACL
		case a.scheme == "auth":
			var found bool
			for _, id := range ids {
				if id.scheme == "digest" {
					found = true
					fixed = append(fixed, aclEntry{perms: a.perms, scheme: id.scheme, id: id.id})
				}
			}
			if !found {
				return nil, ErrInvalidACL
			}
		case a.nullID:
			if a.scheme == "world" || a.scheme == "digest" || a.scheme == "ip" {
				return nil, ErrMarshalling
			}
			return nil, ErrInvalidACL
		case a.scheme == "world" && a.id == "anyone",
			a.scheme == "digest" && validDigestID(a.id),
			a.scheme == "ip" && validIPID(a.id, r):
			fixed = append(fixed, a)
		default:
			return nil, ErrInvalidACL
		}
	}
	return fixed, 0
}

// allows tells whether any of the permissions in perm is granted to one of the identities. An empty
// list grants everything to everybody.
func (l aclList) allows(perm int32, ids []identity) bool {
	if len(l) == 0 {
		return true
	}
	for _, a := range l {
		if a.perms&perm == 0 {
			continue
		}
		if a.scheme == "world" && a.id == "anyone" {
			return true
		}
		for _, id := range ids {
			if id.scheme != a.scheme {
				continue
			}
			if id.scheme == "digest" && id.id == a.id || id.scheme == "ip" && matchIP(id.id, a.id) {
				return true
			}
		}
	}
	return false
}

// masked hides the passwords' hashes from clients that may read but not administer the node.
func (l aclList) masked() aclList {
	masked := slices.Clone(l)
	for i, a := range masked {
		if user, _, ok := strings.Cut(a.id, ":"); ok && a.scheme == "digest" {
			masked[i].id = user + ":x"
		}
	}
	return masked
}

// digestID is the identity that "user:password" proves: user:base64(sha1(user:password)).
func digestID(credential string) string {
	user, _, _ := strings.Cut(credential, ":")
	sum := sha1.Sum([]byte(credential))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// validDigestID wants exactly two parts between colons. Trailing empty parts do not count, as in
// Java's String.split.
func validDigestID(id string) bool {
	return strings.Count(strings.TrimRight(id, ":"), ":") == 1
}

// parseIPID reads "address" or "address/bits".
func parseIPID(id string) (addr net.IP, bits int, ok bool) {
	text, mask, hasMask := strings.Cut(id, "/")
	addr = parseIP(text)
	if addr == nil {
		return nil, 0, false
	}
	if !hasMask {
		return addr, len(addr) * 8, true
	}
	bits, err := strconv.Atoi(mask)
	return addr, bits, err == nil && bits >= 0 && bits <= len(addr)*8
}

// parseIP gives 4 bytes or 16, or nil.
func parseIP(text string) net.IP {
	if strings.Contains(text, ":") {
		if strings.ContainsAny(text, ".%") { // which net knows and ZooKeeper does not
			return nil
		}
		return net.ParseIP(text)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return nil
	}
	addr := make(net.IP, 4)
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 || n > 255 {
			return nil
		}
		addr[i] = byte(n)
	}
	return addr
}

func validIPID(id string, r release) bool {
	addr, _, ok := parseIPID(id)
	return ok && (len(addr) == 4 || r.matchesIPv6())
}

func matchIP(remote, id string) bool {
	addr, bits, ok := parseIPID(id)
	ip := parseIP(remote)
	if !ok || len(ip) != len(addr) {
		return false
	}
	mask := net.CIDRMask(bits, len(addr)*8)
	return slices.Equal(addr.Mask(mask), ip.Mask(mask))
}
