# make demo: see it work. make test: everything that has to hold. The other targets are below.

TARGET := $(or $(CARGO_TARGET_DIR),target)
BUILD  := build
JOBS   := $(shell nproc)

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo
WARN    := -Wall -Wextra -Werror -pedantic
# The Qt libraries to build: 6, 5, "6;5", AUTO (those of the Qt that is there) or OFF.
QT      ?= AUTO

# The benchmarks beside other systems are a package of their own.
BENCH_MANIFEST = benches/systems/Cargo.toml
BENCH = --manifest-path $(BENCH_MANIFEST) --target-dir $(TARGET)/benches

CMAKE = cmake -DCARGO=$(CARGO) -DNANOSTATE_CARGO_TARGET_DIR=$(abspath $(TARGET)) -S .
# Not part of this make: it would tell each directory that it enters.
CMAKE_BUILD = env -u MAKEFLAGS -u MAKELEVEL cmake --build

.PHONY: build demo screenshots test test-cmake test-long lint header fuzz naps loom bench bench-baseline install clean

# The libraries, the command and the examples, in build/. CMake drives cargo.
build:
	@scripts/setup demo "$(QT)"
	$(CMAKE) -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DNANOSTATE_EXAMPLES=ON -DNANOSTATE_QT="$(QT)" \
	    -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	$(CMAKE_BUILD) $(BUILD) --parallel $(JOBS)

# Live figures of this machine, from one C program through a hub to others, for about ten seconds; where there is a
# display also in a window.
demo: QT := $(if $(DISPLAY)$(WAYLAND_DISPLAY),6,OFF)
demo: build
	@scripts/demo

# The pictures in docs/images, taken from the running examples.
screenshots: QT := 6
screenshots: build
	@scripts/screenshots

# Everything that has to hold. The tests build what they need themselves.
test: lint
	@scripts/setup test
	$(CARGO) test
	$(CARGO) test $(BENCH)
	$(MAKE) loom
	$(MAKE) test-cmake
	@echo "make test: passed: format, clippy, C warnings, header, unit and integration tests, real peers, valgrind, fuzz (bounded), loom, C++, Qt 6, Qt 5, QML, the installed package"

# C++, the Qt libraries and the installed package, under the address sanitizer.
test-cmake:
	@scripts/setup test
	$(CMAKE) -B $(TARGET)/cmake -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS=-O1 \
	    -DNANOSTATE_TESTS=ON -DNANOSTATE_EXAMPLES=ON -DNANOSTATE_QT="6;5" -DNANOSTATE_SANITIZE=address
	$(CMAKE_BUILD) $(TARGET)/cmake --parallel $(JOBS)
	cd $(TARGET)/cmake && ctest --output-on-failure --parallel 2

# The same with many more inputs, and the tests that take minutes. Overnight, not for every change.
test-long: lint
	@scripts/setup test
	NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) PROPTEST_CASES=20000 \
	    $(CARGO) test --release --lib --bins --tests -- --include-ignored
	$(MAKE) loom
	NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) NANOSTATE_DESTRUCTIONS=10000 $(MAKE) test-cmake
	@echo "make test-long: passed"

lint:
	@scripts/setup test
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features -- -D warnings
	$(CARGO) clippy --no-default-features --features capi,cli -- -D warnings
	$(CARGO) fmt --check --manifest-path $(BENCH_MANIFEST)
	$(CARGO) clippy $(BENCH) --all-targets -- -D warnings
	$(CC) -std=c99 $(WARN) -Iinclude -fsyntax-only examples-c/*.c
	$(CXX) -std=c++17 $(WARN) -Iinclude -fsyntax-only -xc++ include/nanostate.hpp

# Writes include/nanostate.h anew; a test fails while it is not what the source gives.
header:
	scripts/header

# Models of what threads share; there must be some. The flag changes every crate, so they have a directory of their own.
LOOM = RUSTFLAGS="--cfg loom" $(CARGO) test --test loom --target-dir $(TARGET)/loom
loom:
	$(LOOM) -- --list | grep ': test$$'
	$(LOOM)

# Runs on, each round with another seed, until something fails or Ctrl-C. RUNS: inputs per target and round.
fuzz:
	@scripts/setup test
	$(CARGO) test --release --test 'fuzz*' -- --list | grep ': test$$'
	@while seed=$$(od -An -N7 -tu8 /dev/urandom | tr -d ' '); do \
	    echo "fuzz: NANOSTATE_FUZZ_SEED=$$seed"; \
	    NANOSTATE_FUZZ_SEED=$$seed NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) \
	        $(CARGO) test --quiet --release --test 'fuzz*' || exit; \
	done

# The tests with random naps around locks and system calls, each round with another seed, until something fails or
# Ctrl-C. NAPS_SEED: that one, once.
naps:
	@scripts/setup test
	@CARGO="$(CARGO)" CC="$(CC)" scripts/naps

# Measures nanostate beside other systems: benches/results/latest.json, docs/benchmarks.svg and the tables of
# docs/benchmarks.md. QUICK=1: smaller figures, only printed. Zenoh is among them unless with QUICK=1; ZENOH=1 and
# ZENOH=0 say otherwise.
ZENOH ?= $(if $(filter 1,$(QUICK)),0,1)
BUILD_BENCH = $(CARGO) build --release $(BENCH)
RUN_BENCH = $(TARGET)/benches/release/nanostate-bench-systems
BENCH_RESULTS = benches/results/latest.json
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

# Writes benches/micro/baseline.json anew.
bench-baseline:
	@scripts/setup test
	NANOSTATE_WRITE_BASELINE=1 $(CARGO) test --test instructions no_message

# What `make build` makes, without the examples, under $(DESTDIR)$(PREFIX).
install: build
	DESTDIR=$(abspath $(DESTDIR)) cmake --install $(BUILD)

clean:
	$(CARGO) clean
	rm -rf $(BUILD)
