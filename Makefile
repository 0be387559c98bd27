# make help           this list
# make test           what to run before each commit; installs ZooKeeper if it is missing
# make vet            gofmt, vet, staticcheck, tidiness of each module, govulncheck
# make race           the tests of the library's own module, under the race detector
# make full           the simulation with more seeds than are fast enough for that
# make storm          20,000 watches over ten reconnects, on zktest and on each ZooKeeper that is there
# make plants         has the simulation find each fault that is planted in the library, which shows that its checks can fail
# make nested         the tests of each module with dependencies of its own, and its command built alone
# make guard          ratios to raw go-zookeeper, against slower code
# make examples       the programs in examples
# make mutate         breaks the code that keeps the watches, place by place, and asks who notices; SAMPLE=100 for fewer; see CONTRIBUTING.md
# make simulate       10,000 simulated schedules of faults; SEEDS=n for another number
# make torture        an hour of faults on a real ensemble, with the peers; writes docs/RELIABILITY.md; FOR=10m for less
# make torture-quick  40 seconds of it, with those peers that are installed
# make soak           an hour of load: 100 clients, 1,000 registrations, 10,000 streams; FOR=2m for less
# make fuzz           each fuzz target for ten minutes; FUZZTIME=1m for less
# make bench          zkstream measured beside its peers; writes docs/BENCHMARKS.md
# make bench-quick    the same with smaller sizes, in under two minutes; writes into bench/quick
# make compat         kazoo's tests, Curator's recipes and discovery, and go-zookeeper's tests, on zktest and on ZooKeeper
# make older          the tests on a real server once more, on Debian's ZooKeeper where that is not the newest
# make browser        brings a browser for the tests of the pages: Debian's Chromium, if there is none
# make pictures       the pictures of the pages in docs, from the tests in the browser
# make zookeeper      brings real ZooKeepers for the tests: the newest by Maven, and Debian's
# make peers          brings kazoo and Curator for bench, compat and torture: the newest by pip and Maven, or Debian's

SHELL       := /bin/bash
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
NESTED      := $(patsubst %/go.mod,%,$(shell git ls-files '*/go.mod'))
SEEDS       ?= 10000
FOR         ?= 1h
FUZZTIME    ?= 10m
SAMPLE      ?= 0
# make vet has vetted the tests, too.
GO_TEST     := go test -vet=off

.PHONY: help test vet race full storm plants nested guard examples simulate mutate torture torture-quick soak fuzz bench bench-quick compat older browser pictures zookeeper peers

test: zookeeper vet race full nested older guard

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

# The tests of a real server fail, rather than skip, where there is none.
race full storm nested older guard torture-quick soak fuzz compat: export ZKSTREAM_REQUIRE_ZOOKEEPER = 1

# The longest come first, so that none of them is left to run alone at the end.
race:
	$(GO_TEST) -race -timeout 20m . ./zktest ./...

# What is too slow under the race detector, where it is smaller.
full:
	$(GO_TEST) -timeout 20m -run 'Simulation' -skip 'PlantedFaults' ./internal/simulation

storm:
	$(GO_TEST) -timeout 20m -run 'Storm' .
	@if [ -e .foreign/zookeeper ] && [ -e /usr/share/java/zookeeper.jar ]; then \
		set -x; ZKSTREAM_ZOOKEEPER=debian $(GO_TEST) -timeout 20m -run 'Storm/zookeeper' .; \
	else echo "storm: not on Debian's ZooKeeper, which is the only one here, or is not here"; fi

plants:
	$(GO_TEST) -timeout 30m -run 'PlantedFaults' ./internal/simulation

# The modules with dependencies of their own. The benchmark's tests are ratios, which the race detector bends: see guard.
nested: browser
	@bin=$$(mktemp -d) && (cd cmd/zkstream && GOWORK=off GOBIN=$$bin go install . && $$bin/zkstream version); status=$$?; rm -rf $$bin; exit $$status
	$(GO_TEST) -race -timeout 10m $(patsubst %,./%/...,$(filter-out bench,$(NESTED)))

# The tests on a real server run on the newest ZooKeeper. What depends most on how a server behaves runs on the
# older one, too: connections and sessions, streams, registrations, and what zktest is compared with, by fewer random
# sequences than on the newest.
older: export ZKSTREAM_ZOOKEEPER = debian
older: export ZKTEST_SEQUENCES ?= 100
older: which = . ./zktest ./internal/zkconn
older:
	@if [ -e .foreign/zookeeper ] && [ -e /usr/share/java/zookeeper.jar ]; then \
		$(GO_TEST) -timeout 20m -run "$$(go run ./internal/realtests $(which))" -skip 'Storm|/zktest$$' $(which); \
	else echo "older: skipped, Debian's ZooKeeper is the only one here, or is not here"; fi

# The guard against regressions: ratios to raw go-zookeeper, measured side by side.
guard:
	cd bench && $(GO_TEST) -timeout 10m ./...

torture-quick:
	$(GO_TEST) -timeout 10m -run 'Torture' ./internal/torture -args -for 40s

# Each nested module is vetted as who has only its go.mod sees it, and not once more in the workspace. Staticcheck sees all
# modules at once: what they have in common it reads once.
vet:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt: these files are not formatted'; exit 1; }
	@for module in . $(NESTED); do (cd $$module && GOWORK=off go vet ./... && go mod tidy -diff) || exit; done
	@scripts/lint $(STATICCHECK) ./... $(NESTED:%=./%/...)
	@scripts/lint $(GOVULNCHECK) ./...

examples:
	go run ./examples/quickstart
	go run ./examples/discovery
	go run ./examples/config
	go run ./examples/curator
	go run ./examples/system

simulate:
	$(GO_TEST) -timeout 0 -run 'TestSimulation$$' ./internal/simulation -args -seeds $(SEEDS)

mutate:
	go run ./internal/mutate -sample $(SAMPLE)

torture: zookeeper peers
	go run ./internal/torture -for $(FOR)

soak: zookeeper
	$(GO_TEST) -timeout 0 -v -run 'TestSoak$$' ./internal/soak -args -for $(FOR)

fuzz: zookeeper
	@scripts/fuzz $(FUZZTIME)

bench: zookeeper peers
	cd bench && go run .

bench-quick: zookeeper
	cd bench && go run . -quick -o quick

compat: zookeeper peers
	ZKSTREAM_COMPAT=1 go test -v -timeout 15m -run 'TestKazoo|TestCurator|TestGoZooKeeper' ./zktest/compat ./discovery

browser:
	@scripts/browser

pictures: browser
	cd cmd/zkstream && $(GO_TEST) ./internal/browser -count=1 -pictures $(CURDIR)/docs

zookeeper:
	@scripts/zookeeper

peers:
	@scripts/peers
