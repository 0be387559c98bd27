# make test       everything that CI runs; a real ZooKeeper is installed if it is missing (Debian, Ubuntu)
# make simulate   10,000 simulated schedules of faults; SEEDS=n for another number
# make zookeeper  installs a real ZooKeeper, for the tests

SHELL       := /bin/bash
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
SEEDS       ?= 10000

.PHONY: test vet zookeeper race full examples simulate

test: zookeeper vet race full examples

# The tests of a real server fail, rather than skip, where there is none.
race full: export ZKSTREAM_REQUIRE_ZOOKEEPER = 1

race:
	go test -race -timeout 20m ./...

# What is too slow under the race detector, where it is smaller or skipped.
full:
	go test -timeout 20m -run 'Storm|Simulation' .

vet:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'gofmt: these files are not formatted'; exit 1; }
	go vet ./...
	go mod tidy -diff
	@scripts/lint $(STATICCHECK) ./...
	@scripts/lint $(GOVULNCHECK) ./...

examples:
	go run ./examples/quickstart
	go run ./examples/discovery
	go run ./examples/config

simulate:
	go test -timeout 0 -run 'TestSimulation$$' . -args -seeds $(SEEDS)

zookeeper:
	@scripts/zookeeper
