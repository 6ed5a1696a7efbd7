# What people and CI run. `make help` lists it.

CARGO ?= cargo
# Where this build's programs are.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# With a target named, the flags of a static build are not those of build scripts, which must not be static.
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

.PHONY: help demo demo-cluster check test lint rust-version control-plane docs new-rule licenses bench fuzz \
	test-chart test-html chart-static chart-suites chart-docs alerts soak binary static image-binary image archive

.DEFAULT_GOAL := help

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## Serve the standalone webhook and show what it says to the sample workloads (ONCE=1 ends after them)
	$(CARGO) build --bin podgate --example demo
	ONCE=$(ONCE) $(TARGET)/debug/examples/demo

demo-cluster: control-plane ## The same on a real kube-apiserver, with kubectl (ONCE=1 ends after the samples)
	$(CARGO) build --bin podgate --example demo-cluster
	ONCE=$(ONCE) $(TARGET)/debug/examples/demo-cluster

check: ## Formatting, lints, unit tests and the suites without a cluster; needs no Go
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- --deny warnings
	$(CARGO) test --lib --bins --test offline

test: lint control-plane ## Formatting, lints, unit tests and the suites on a real control plane
	$(CARGO) test --no-fail-fast

test-chart: chart-static alerts chart-suites ## The chart: Helm 3 and 4, helm-unittest, kubeconform, promtool, and podgate as its pods in a real control plane; builds or installs what it needs, once

# What they need is installed before: in the suites' own network there is nobody to install it from.
chart-suites: binary control-plane
	tests/tools/tool.sh helm3 > /dev/null
	tests/tools/tool.sh helm4 > /dev/null
	tests/tools/debian.sh prometheus prometheus > /dev/null
	$(CARGO) test --test chart

test-html: ## The pages of -o html in a headless Chromium, with axe-core; installs both once (UPDATE=1 writes docs/images)
	tests/tools/debian.sh chromium chromium > /dev/null
	tests/tools/axe.sh > /dev/null
	$(CARGO) test --test html

soak: binary control-plane ## The chart's suites, CEL's, those of compiled policies and of the floor, with those that take long (half an hour more), all with pods as JSON, and mutants
	tests/tools/tool.sh helm3 > /dev/null
	tests/tools/tool.sh helm4 > /dev/null
	tests/tools/debian.sh prometheus prometheus > /dev/null
	$(CARGO) test --test chart -- --include-ignored
	$(CARGO) test --test cluster -- cel:: --include-ignored
	$(CARGO) test --test cluster -- in_tree:: --include-ignored
	$(CARGO) test --test cluster -- floor:: --include-ignored
	PODGATE_ENCODING=json $(CARGO) test --test cluster
	tests/tools/mutants.sh

alerts: ## Recording rules and alerts: valid, and each alert fires when it should
	tests/prometheus/run.sh

# One after another: each builds the tools that it needs.
chart-static: binary
	PODGATE=$(TARGET)/debug/podgate tests/tools/chart/lint.sh
	PODGATE=$(TARGET)/debug/podgate tests/tools/chart/current.sh
	PODGATE=$(TARGET)/debug/podgate tests/tools/chart/manifests.sh
	tests/tools/chart/unit.sh
	tests/tools/gitops/health.sh

chart-docs: binary ## Write the chart's README, and deploy/install.yaml
	UPDATE=1 PODGATE=$(TARGET)/debug/podgate tests/tools/chart/current.sh

binary:
	$(CARGO) build --bin podgate

# rust-toolchain.toml names the installed channel, so that rustup downloads nothing. This check pins the compiler instead:
# another one formats and lints differently.
RUST := $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)

lint: rust-version
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- --deny warnings
	$(CARGO) clippy --test chart -- --deny warnings
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny rustdoc::broken_intra_doc_links --allow rustdoc::private_intra_doc_links" $(CARGO) doc --lib --no-deps --document-private-items

rust-version:
	@found=$$(rustc --version | cut -d' ' -f2); case "$$found" in $(RUST) | $(RUST).*) ;; *) \
		echo "Cargo.toml pins Rust $(RUST) (rust-version), and rustc is $$found; run: rustup override set $(RUST)" >&2; exit 1 ;; esac

control-plane: ## Build etcd, kube-apiserver, kube-controller-manager, kubectl, and the judge of CEL, once
	@tests/controlplane/assets.sh > /dev/null
	@tests/controlplane/vap-eval.sh > /dev/null

docs: ## Write docs/rules.md, docs/cel.md, docs/crd.md, docs/cli.md, docs/metrics.md and the CRDs from the code
	UPDATE_DOCS=1 $(CARGO) test --test offline -- docs::

new-rule: ## Make the files of a new rule, and say what to do next: make new-rule NAME=camelCaseName
	@tests/tools/new-rule.sh "$(NAME)"

# Packed relocations (glibc 2.36 or newer) take a hundredth of the room.
STATIC = RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" $(CARGO) rustc --release --locked --bin podgate --target $(HOST)
SMALL = -- -C link-arg=-Wl,--icf=all -C llvm-args=-inline-threshold=40

static: ## The release binary, static, in TARGET/static
	$(STATIC) $(SMALL)
	mkdir -p $(TARGET)/static
	cp $(TARGET)/$(HOST)/release/podgate $(TARGET)/static/podgate

image-binary: ## The image's binary, in TARGET/image: the static one without the commands for who writes policies
	$(STATIC) --no-default-features $(SMALL)
	mkdir -p $(TARGET)/image
	cp $(TARGET)/$(HOST)/release/podgate $(TARGET)/image/podgate

image: image-binary ## The image, FROM scratch, by buildah, and its SBOM
	tests/tools/image.sh $(TARGET)/image

archive: static ## The release's archive for this platform, and its SHA-256
	deploy/ci/archive.sh pack $(TARGET)/static/podgate $(TARGET)/static

licenses: ## Licences, banned crates and sources of the dependencies
	command -v cargo-deny > /dev/null || $(CARGO) install cargo-deny --locked --version 0.20.2
	$(CARGO) deny check bans licenses sources
	$(CARGO) deny --manifest-path fuzz/Cargo.toml check bans licenses sources

fuzz: ## Build the fuzz targets and run each for SECONDS (60); TARGETS names some of them
	fuzz/run.sh $(or $(SECONDS),60) $(TARGETS)

bench: control-plane ## A review against a null webhook, alone and through an API server; a scan against the YAML parser; many policies and namespaces; the audit of up to 50 000 pods, and the heap that it keeps
	$(CARGO) bench --bench admission --bench api_server --bench scan --bench policies --bench index --bench audit
