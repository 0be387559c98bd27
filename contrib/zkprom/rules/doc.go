// Package rules holds the tests of zkprom's alerting rules and of its dashboard, with Prometheus' own parser and engine. It is a
// module of its own, so that programs that use zkprom do not depend on those.
package rules
