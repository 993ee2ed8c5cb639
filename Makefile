# A friendly front for CMake: every target is one or two commands that you could type yourself. `make help` lists them.

BUILD := build
PREFIX ?= /usr/local
IFACE ?=
API ?=
INTERVAL ?=
ARGS ?=
DEMO_API ?= 127.0.0.1:8080
DEMO_SECONDS ?=
CTEST_ARGS ?=
JOBS ?= $(shell nproc)
# Most tests wait more than they compute; those that measure run alone.
TEST_JOBS ?= $(shell expr $(JOBS) + 1)

ROOT := $(filter 0,$(shell id -u))
BPFTOOL = $(addprefix -DBPFTOOL=,$(shell packaging/setup.sh bpftool))
SOURCES = $(shell git ls-files '*.c' '*.h')
TIDY_SOURCES = $(shell git ls-files '*.c' | grep -v -e '\.bpf\.c$$' -e ^docs/ -e ^tests/)

# With sudo in a checkout of somebody else, what the build leaves is theirs, also when it fails.
define as_owner
@trap 'test -z "$(ROOT)" -o ! -d $(BUILD) || chown -R --reference=. $(BUILD)' EXIT; $(1)
endef
UP_ARGS = $(if $(IFACE),--iface $(IFACE)) $(if $(INTERVAL),--interval $(INTERVAL)) $(if $(API),--api $(API)) $(ARGS)

.DEFAULT_GOAL := all
.PHONY: help all debug run demo test bench kernels arm64 format tidy clean install deb check-setup install-setup-% need-root

help: ## This list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18
	@echo
	@echo '  Variables: IFACE=eth0[,eth1] API=127.0.0.1:8080 INTERVAL=5 ARGS="…" (run); DEMO_SECONDS=20 DEMO_API=… (demo);'
	@echo '  CTEST_ARGS="-L unit" (test); PREFIX=/usr/local DESTDIR=… (install); JOBS=2'

all: check-setup ## Every program, in build/bin
	$(call as_owner,cmake --preset release $(BPFTOOL) >/dev/null && cmake --build --preset release -j $(JOBS))

debug: check-setup ## The same under ASan and UBSan, warnings are errors, in build/debug/bin
	$(call as_owner,cmake --preset debug $(BPFTOOL) >/dev/null && cmake --build --preset debug -j $(JOBS))

run: need-root install-setup-run ## sudo make run: installs what is missing, builds, starts on IFACE or the default route's
	@$(MAKE) --no-print-directory all
	@exec $(BUILD)/bin/packetscope up $(UP_ARGS)

demo: need-root install-setup-demo ## sudo make demo: traffic to look at, between network namespaces made for it
	@$(MAKE) --no-print-directory all
	@exec python3 tests/demo/demo.py --programs $(BUILD)/bin --api $(DEMO_API) $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

# Unit tests run under the sanitizers, end-to-end tests on the release build; ctest runs them all in one go.
test: $(if $(ROOT),install-setup-test) ## sudo make test: installs what is missing, builds twice, runs every test
	@packaging/setup.sh --check build run test
	@test -n "$(ROOT)" || echo 'test: not root: what needs the kernel is skipped (sudo make test runs it all)'
	@test -z "$(ROOT)" || mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	@$(MAKE) --no-print-directory debug
	@$(MAKE) --no-print-directory all
	@mkdir -p $(BUILD)/all-tests
	@printf 'subdirs("%s")\n' '$(CURDIR)/$(BUILD)/debug' '$(CURDIR)/$(BUILD)' > $(BUILD)/all-tests/CTestTestfile.cmake
	$(call as_owner,ctest --test-dir $(BUILD)/all-tests -j $(TEST_JOBS) --output-on-failure $(CTEST_ARGS))

# An architecture is what ARCH says, else this machine's.
kernels: need-root install-setup-$(or $(ARCH),kernels) $(or $(ARCH),all) ## sudo make kernels: the kernel part on Debian's kernels, under qemu (some minutes); ARCH=arm64: on arm64's
	@ARCH=$(ARCH) tests/kernels/run.sh $(BUILD)$(addprefix /,$(ARCH))

arm64: ## Every program for arm64, cross-built, in build/arm64/bin
	$(call as_owner,packaging/arm64.sh $(BUILD)/arm64)

bench: need-root install-setup-bench ## sudo make bench: what everything costs, against its references: a table, build/bench/results.json, plots (15 minutes)
	@$(MAKE) --no-print-directory all
	$(call as_owner,python3 bench/bench.py --bin $(BUILD)/bin --out $(BUILD)/bench)

format: ## clang-format over the tree
	clang-format -i $(SOURCES)

tidy: all ## clang-tidy over the user-space sources
	clang-tidy -p $(BUILD) --quiet $(TIDY_SOURCES)

install: all ## Into PREFIX (/usr/local)
	cmake --install $(BUILD) --prefix $(PREFIX)

deb: all ## The Debian package, in build/
	$(call as_owner,cd $(BUILD) && cpack -G DEB)

clean: ## Away with build/
	rm -rf $(BUILD)

check-setup:
	@packaging/setup.sh --check build

install-setup-%:
	@packaging/setup.sh build run $*

need-root:
	@test -n "$(ROOT)" || { echo 'This target loads programs into the kernel: run it as root (sudo make …).' >&2; exit 1; }
