# make: builds. make demo: see it work. make test: everything that has to hold. make help: the rest, from what is said in
# front of each target and variable.

TARGET := $(or $(CARGO_TARGET_DIR),target)
BUILD  := build
# There while a build in it is complete.
BUILT   = $(BUILD)/.built
JOBS   := $(shell nproc)

# The directory to install into.
PREFIX  ?= /usr/local
# A staging directory for packages: install puts everything below it.
DESTDIR ?=
# The cargo to build with.
CARGO   ?= cargo
# The Qt libraries to build, of 6, 5, "6;5", AUTO (those of the Qt that is there) or OFF.
QT      ?= AUTO
# Whether to build and install nanostate-cat as well, ON or OFF.
CAT     ?= OFF
# How many inputs the fuzzers try for each target.
RUNS    ?=
# How long fuzz-guided tries each target, in seconds.
FUZZ_SECONDS ?= 120
WARN    := -Wall -Wextra -Werror -pedantic

# The benchmarks beside other systems are a package of their own.
BENCH_MANIFEST = benches/systems/Cargo.toml
BENCH = --manifest-path $(BENCH_MANIFEST) --target-dir $(TARGET)/benches

CMAKE = cmake -DCARGO=$(CARGO) -DNANOSTATE_CARGO_TARGET_DIR=$(abspath $(TARGET)) -S .
# Not part of this make: it would tell each directory that it enters.
CMAKE_BUILD = env -u MAKEFLAGS -u MAKELEVEL cmake --build

.PHONY: build demo screenshots npm test test-js test-cmake test-long lint header fuzz fuzz-guided naps loom bench bench-hostile bench-baseline install clean help

# The libraries, the command and the examples, in build/. CMake drives cargo.
build:
	@rm -f $(BUILT)
	@scripts/setup demo "$(QT)"
	$(CMAKE) -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DNANOSTATE_EXAMPLES=ON -DNANOSTATE_QT="$(QT)" \
	    -DNANOSTATE_CAT=$(CAT) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	$(CMAKE_BUILD) $(BUILD) --parallel $(JOBS)
	@touch $(BUILT)

# Live figures of this machine, from one C program through a hub to others and to a page, for about ten seconds; where
# there is a display also in a window.
demo: QT := $(if $(DISPLAY)$(WAYLAND_DISPLAY),6,OFF)
demo: build
	@scripts/demo

# The pictures in docs/images, taken from the running examples.
screenshots: QT := 6
screenshots: build
	@scripts/setup js
	@scripts/screenshots

PARTS = $(TARGET)/parts
PART = @scripts/part $(PARTS)
# How the network of an app was cut, as its test says.
CUT = $(TARGET)/tmp/cut-network
# Everything that has to hold. The tests build what they need themselves. At the end stands what each part took.
test:
	@rm -f $(PARTS) $(CUT)
	@scripts/setup test
	$(PART) lint $(MAKE) lint
	$(PART) build $(CARGO) test --locked --no-run
	$(PART) tests $(CARGO) test --locked
	$(PART) cat $(CARGO) test --locked --package nanostate-cat
	$(PART) benches $(CARGO) test --locked $(BENCH)
	$(PART) loom $(MAKE) loom
	$(PART) js $(MAKE) test-js
	$(PART) cmake $(MAKE) test-cmake
	$(PART)
	@echo "make test: passed: format, clippy, C warnings, header, unit and integration tests, real peers, nanostate-cat, valgrind, fuzz (bounded), loom, JavaScript, C++, Qt 6, Qt 5, QML, the installed package"
	@echo "the network of an app was cut by $$(cat $(CUT))"

# The Node that scripts/setup installs if that of PATH is too old, or none is there.
NPM = cd js && PATH="$(abspath $(TARGET))/venv/bin:$$PATH" npm
# The tests of the JavaScript packages, in Node and Chromium, with a hub.
test-js:
	@scripts/setup js
	$(CARGO) build --locked
	$(NPM) test

# The oldest glibc with which the command in the npm packages runs, and the target that it is built for.
GLIBC = 2.17
NPM_TARGET = x86_64-unknown-linux-gnu
NPM_COMMAND = $(abspath $(TARGET))/$(NPM_TARGET)/release/nanostate
NPM_PACKAGES = $(abspath $(TARGET))/npm
# The npm packages, as they are published, in target/npm. Zig links the command with a glibc that is old enough.
npm:
	@scripts/setup npm
	PATH="$(abspath $(TARGET))/venv/bin:$$PATH" $(CARGO) zigbuild --locked --release --bin nanostate \
	    --no-default-features --features cli,tls --target $(NPM_TARGET).$(GLIBC)
	scripts/glibc $(GLIBC) $(NPM_COMMAND)
	rm -rf $(NPM_PACKAGES)
	$(NPM) run --silent pack -- $(NPM_PACKAGES) $(NPM_COMMAND) $(NPM_TARGET)
	@ls -l $(NPM_PACKAGES)

# Line numbers are all that the reports of the address sanitizer need; -g takes a quarter longer to compile.
LINE_NUMBERS = -DCMAKE_C_FLAGS_DEBUG=-g1 -DCMAKE_CXX_FLAGS_DEBUG=-g1
# The tests of C++, the Qt libraries and the installed package, under the address sanitizer.
test-cmake:
	@scripts/setup test
	$(CMAKE) -B $(TARGET)/cmake -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=-O1 \
	    $(LINE_NUMBERS) \
	    -DNANOSTATE_TESTS=ON -DNANOSTATE_EXAMPLES=ON -DNANOSTATE_QT="6;5" -DNANOSTATE_SANITIZE=address \
	    -DNANOSTATE_CAT=ON -DNANOSTATE_CAT_NAMES=ON
	$(CMAKE_BUILD) $(TARGET)/cmake --parallel $(JOBS)
	cd $(TARGET)/cmake && ctest --output-on-failure --parallel 2

# All tests with many more inputs, and those that take minutes. Overnight, not for every change.
test-long:
	@scripts/setup test-long
	$(MAKE) lint
	NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) PROPTEST_CASES=20000 \
	    $(CARGO) test --locked --release --lib --bins --tests -- --include-ignored
	$(CARGO) test --locked --release --features capi-store --lib
	$(CARGO) test --locked --release --features mutations --test engine mutations -- --nocapture
	PROPTEST_CASES=20000 $(CARGO) test --locked --release --package nanostate-cat
	$(MAKE) loom
	$(MAKE) npm
	NANOSTATE_PACKAGES=$(NPM_PACKAGES) NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) $(MAKE) test-js
	NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) NANOSTATE_DESTRUCTIONS=10000 $(MAKE) test-cmake
	@echo "make test-long: passed"

# Formats, clippy, the warnings of rustdoc and of C and C++ compilers, the types of JavaScript, spelling, and the licences of dependencies.
lint:
	@scripts/setup test
	$(CARGO) fmt --check --all
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features capi,cli -- -D warnings
	$(CARGO) clippy --locked --no-default-features --features capi-store,mutations --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path $(BENCH_MANIFEST)
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path $(LOOM_MANIFEST)
	$(CARGO) clippy --locked $(BENCH) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --lib --quiet
	$(TARGET)/venv/bin/typos
	$(NPM) run check
	scripts/deny
	$(CC) -std=c99 $(WARN) -Iinclude -fsyntax-only examples-c/*.c
	$(CXX) -std=c++17 $(WARN) -Iinclude -fsyntax-only -xc++ include/nanostate.hpp

# Writes include/nanostate.h anew. A test fails while it is not what the source gives.
header:
	scripts/header

# A package of its own: the flag changes every crate that is compiled, and loom needs few.
LOOM_MANIFEST = tests/loom/Cargo.toml
LOOM = RUSTFLAGS="--cfg loom" $(CARGO) test --locked --manifest-path $(LOOM_MANIFEST) --target-dir $(TARGET)/loom
# Checks models of what threads share. There must be some.
loom:
	$(LOOM) -- --list | grep ': test$$'
	$(LOOM)

# Fuzzes, each round with another seed, until something fails or Ctrl-C. RUNS: inputs per target and round.
fuzz:
	@scripts/setup test
	$(CARGO) test --release --test 'fuzz*' -- --list | grep ': test$$'
	@while seed=$$(od -An -N7 -tu8 /dev/urandom | tr -d ' '); do \
	    echo "fuzz: NANOSTATE_FUZZ_SEED=$$seed"; \
	    NANOSTATE_FUZZ_SEED=$$seed NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) \
	        $(CARGO) test --quiet --release --test 'fuzz*' || exit; \
	done

# Fuzzes each target of fuzz/ for FUZZ_SECONDS, guided by coverage, with cargo-fuzz.
fuzz-guided:
	@scripts/setup fuzz
	@CARGO="$(CARGO)" scripts/fuzz-guided $(FUZZ_SECONDS)

# The tests with random naps around locks and system calls, each round with another seed, until something fails or
# Ctrl-C. NAPS_SEED: that one, once.
naps:
	@scripts/setup test
	@CARGO="$(CARGO)" CC="$(CC)" scripts/naps

# Has bench take smaller figures, and only print them, if it is 1.
QUICK ?= 0
# Whether Zenoh is among the systems of bench, 1 or 0. With QUICK=1 it is not, unless this says so.
ZENOH ?= $(if $(filter 1,$(QUICK)),0,1)
BUILD_BENCH = $(CARGO) build --release $(BENCH)
RUN_BENCH = $(TARGET)/benches/release/nanostate-bench-systems
BENCH_RESULTS = benches/results/latest.json
# Measures nanostate beside other systems. Writes benches/results/latest.json, docs/benchmarks.svg and the tables of
# docs/benchmarks.md.
bench:
	@scripts/setup bench
ifeq ($(ZENOH),1)
	$(BUILD_BENCH) --features zenoh || { echo "make bench: goes on without Zenoh, which does not build here" >&2; \
	    $(BUILD_BENCH); }
else
	@echo "make bench: without Zenoh, whose crates take minutes to build; ZENOH=1 adds it" >&2
	$(BUILD_BENCH)
endif
ifeq ($(QUICK),1)
	$(RUN_BENCH) run --quick
else
	$(RUN_BENCH) run --output $(BENCH_RESULTS)
	$(RUN_BENCH) report --input $(BENCH_RESULTS) --svg docs/benchmarks.svg --markdown docs/benchmarks.md
endif

# Attacks a hub in many ways, measures what honest programs notice, and writes the table of docs/security.md. It takes
# about seven minutes.
bench-hostile:
	@scripts/setup demo
	$(CARGO) bench --locked --bench hostile -- --page $(abspath docs/security.md)

# Writes benches/micro/baseline.json anew.
bench-baseline:
	@scripts/setup test
	NANOSTATE_WRITE_BASELINE=1 $(CARGO) test --test instructions no_message

# Installs what make has built, without the examples, under $(DESTDIR)$(PREFIX). It builds nothing, so that root needs no
# Rust and leaves no files of its own behind. The prefix is that of the build unless it is named.
install:
	@test -e $(BUILT) || { echo "make install: nothing is built in $(BUILD)/: make first, then (sudo) make install" >&2; \
	    exit 1; }
	DESTDIR=$(abspath $(DESTDIR)) cmake --install $(BUILD) \
	    $(if $(filter file,$(origin PREFIX)),,--prefix $(abspath $(PREFIX)))

# Removes what was built.
clean:
	$(CARGO) clean
	rm -rf $(BUILD)

# Lists the targets, and the variables that they heed.
help:
	@scripts/help
