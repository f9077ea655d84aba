# pinfs: `make demo` shows it at work, `make test` checks all of it.
# Both install what they need as root; otherwise they say what to install.

SHELL := /bin/bash
GO ?= go
TOOLS := integration/tools.sh
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION)
FUZZTIME ?= 10m

.PHONY: help build install demo test unit race lint integration torture fuzz bench clean

help: ## lists the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/pinfs
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/pinfs ./cmd/pinfs

install: build ## bin/pinfs to $(DESTDIR)/usr/local/bin
	install -D -m 0755 bin/pinfs $(DESTDIR)/usr/local/bin/pinfs

demo: build ## tracks a directory, mounts it, changes a file, shows what happens
	@$(TOOLS) install demo
	@integration/demo.sh

test: ## everything: unit, race, lint, then real servers and real mounts
	@$(TOOLS) install test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory integration

unit: ## the tests of every room but integration
	$(GO) test -timeout 15m $$($(GO) list ./... | grep -v /integration)

race: ## the same under the race detector
	$(GO) test -race -short -timeout 20m $$($(GO) list ./... | grep -v /integration)

lint: ## gofmt, vet, staticcheck, go.mod
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed: $$out"; exit 1; fi
	$(GO) vet ./...
	PATH="$$($(TOOLS) path | paste -sd:):$$PATH" staticcheck ./...
	$(GO) mod tidy -diff
	$(GO) mod verify

integration: ## real S3 server, real mounts, real kills
	@$(TOOLS) check test
	$(GO) test -count=1 -timeout 30m ./integration/...

torture: ## the kill test, 1,000 times
	@$(TOOLS) check test
	PINFS_KILLS=1000 $(GO) test -count=1 -timeout 3h -v -run TestKilledWhileFilling ./integration

fuzz: ## each fuzz target for FUZZTIME (10m)
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; done; done

bench: ## Go benchmarks of the rooms
	$(GO) test -run '^$$' -bench . -benchmem ./manifest/... ./cache ./fusefs ./integration

clean: ## removes what was built
	rm -rf bin
