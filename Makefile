# Postern's whole workshop. `make` alone explains the targets.

TOOLS   := $(CURDIR)/.tools
BUILD   := -trimpath
FUZZ    ?= 5s

.DEFAULT_GOAL := help

.PHONY: help
help: ## Explain the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/postern
	CGO_ENABLED=0 go build $(BUILD) -o bin/postern ./cmd/postern

.PHONY: demo
demo: ## One denied and one allowed request through a real Envoy
	@.ci/tools envoy & fetch=$$!; $(MAKE) --no-print-directory build && wait $$fetch
	@PATH="$(CURDIR)/bin:$$PATH:$(TOOLS)" examples/quickstart/demo

.PHONY: test
test: ## All tests, with the race detector, real Envoy included
	@.ci/tools envoy
	PATH="$$PATH:$(TOOLS)" go test -race -shuffle=on -timeout 30m ./...
	go test -run 'Alloc|Oracle' ./extauthz ./jwks ./keystore # budgets that the race detector would disturb, and a model that it would slow down

.PHONY: e2e-versions
e2e-versions: ## The tests through Envoy, on each older Envoy that is supported
	@.ci/tools envoy-versions
	@for version in $$(sed -n 's/^\([0-9.]*\) .*/\1/p' .ci/envoy-versions.txt); do \
		echo "Envoy $$version"; CI=1 POSTERN_ENVOY=$(TOOLS)/envoy-$$version go test -count 1 ./envoy ./internal/e2e || exit 1; \
	done

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ=5s
	@.ci/fuzz $(FUZZ)

.PHONY: lint
lint: ## Formatting and lint, with the pinned linter
	@.ci/tools golangci-lint
	$(TOOLS)/golangci-lint run ./...

.PHONY: check
check: lint tidy test fuzz ## All that CI runs

.PHONY: tidy
tidy: ## Prove that go.mod and generated files are in step
	go mod tidy -diff
	go vet ./...

.PHONY: bench
bench: build ## Benchmarks; POSTERN_BENCH=DIR adds the comparison of whole servers
	@.ci/bench

.PHONY: tools
tools: ## Fetch the pinned tools into .tools: Envoy, golangci-lint
	@.ci/tools envoy golangci-lint

.PHONY: clean
clean: ## Remove what was built, not the tools
	rm -rf bin demo
