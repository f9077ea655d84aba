# pinfs: `make demo` shows it at work, `make test` checks all of it.
# Both install what they need as root; otherwise they say what to install.

SHELL := /bin/bash
GO ?= go
TOOLS := integration/tools.sh
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION)
FUZZTIME ?= 10m
# Go's own -timeout can't end a test that hangs in the kernel: these do. QUIT asks
# for goroutine dumps. In a terminal, Ctrl-C must still reach what runs.
LIMIT := timeout --signal=QUIT --kill-after=30s $(shell [ -t 0 ] && echo --foreground)
ROOMS = $$($(GO) list ./... | grep -v -E '/(integration|bench)')
# Of bench; make bench BENCH_FLAGS='-rows sequential -repeat 1'. A check has rows that
# small sizes tell something about.
BENCH_FLAGS ?=
BENCH_CHECK := -size 0.125 -peers=false -budget 10m

# Tests that have a long form.
TORTURE := ^Test(NetworkGone|NameDoesNotResolve|SecretsStaySecret|ThrottledForAWhile|StoppedDaemon|CacheDiskGivesEIO|PowerLoss|CacheClonedWhileWritten|EverythingAtOnce|Differential|WorkerKilled|Upgrade)$$

.PHONY: help build install demo test unit race lint integration isolated torture fuzz bench bench-check bench-baseline bench-record bench-go clean

help: ## lists the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/pinfs
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/pinfs ./cmd/pinfs

install: build ## bin/pinfs to $(DESTDIR)/usr/local/bin
	install -D -m 0755 bin/pinfs $(DESTDIR)/usr/local/bin/pinfs

demo: build ## tracks a directory, mounts it, changes a file, shows what happens
	@$(TOOLS) install demo
	@integration/demo.sh

test: ## everything: unit, race, lint, then real servers and real mounts
	@echo "== tools"
	@$(TOOLS) install test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory integration

unit: ## the tests of every room but integration
	@echo "== unit"
	$(LIMIT) 20m $(GO) test -timeout 15m $(ROOMS)

race: ## the same under the race detector
	@echo "== race"
	$(LIMIT) 40m $(GO) test -race -short -timeout 25m $(ROOMS)

lint: ## gofmt, vet, staticcheck, go.mod
	@echo "== lint"
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed: $$out"; exit 1; fi
	$(LIMIT) 10m $(GO) vet ./...
	PATH="$$($(TOOLS) path | paste -sd:):$$PATH" $(LIMIT) 10m staticcheck ./...
	$(LIMIT) 5m $(GO) mod tidy -diff
	$(LIMIT) 5m $(GO) mod verify

integration: ## real S3 server, real mounts, real kills
	@echo "== integration"
	@$(TOOLS) check test
	$(LIMIT) 45m $(GO) test -count=1 -timeout 40m ./integration/... ./bench

isolated: ## unit and integration where nothing outside of this host answers (root)
	integration/isolated.sh $(MAKE) --no-print-directory unit integration

torture: ## the long forms: 1,000 kills, minutes of each fault, random calls beside ext4
	@$(TOOLS) check test
	PINFS_KILLS=1000 $(GO) test -count=1 -timeout 3h -v -run TestKilledWhileFilling ./integration
	PINFS_TORTURE=1 $(GO) test -count=1 -timeout 3h -v -parallel 4 -run '$(TORTURE)' ./integration

fuzz: ## each fuzz target for FUZZTIME (10m)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; done; done

bench: ## pinfs beside ext4, a bare client and its peers: bench.json, bench.md
	@$(TOOLS) install bench
	$(GO) build -o bin/bench ./bench
	bin/bench -json bench.json -table bench.md $(BENCH_FLAGS)
	@cat bench.md

bench-check: ## a short form of it; fails when a ratio is 25 % worse than in bench/baseline.json
	@$(TOOLS) install bench
	$(GO) build -o bin/bench ./bench
	bin/bench $(BENCH_CHECK) -table bench-check.md -check bench/baseline.json $(BENCH_FLAGS)

bench-baseline: ## records bench/baseline.json, on a machine that has nothing else to do
	@$(TOOLS) install bench
	$(GO) build -o bin/bench ./bench
	bin/bench $(BENCH_CHECK) -repeat 5 -json bench/baseline.json

bench-record: bench bench-baseline ## bench, and what is committed of it: the figures in docs, the baseline
	bin/bench -docs docs/performance.md -from bench.json

bench-go: ## Go benchmarks of the rooms
	$(GO) test -run '^$$' -bench . -benchmem ./manifest/... ./cache ./fusefs ./integration

clean: ## removes what was built
	rm -rf bin
