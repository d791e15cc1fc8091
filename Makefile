# make demo: see it work. make test: everything that has to hold. The other targets are below.

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
SONAME  := libnanostate.so.$(firstword $(subst ., ,$(VERSION)))
RELEASE := $(or $(CARGO_TARGET_DIR),target)/release
BUILD   := build

PREFIX  ?= /usr/local
DESTDIR ?=
CARGO   ?= cargo
CFLAGS  ?= -O2 -g
WARN    := -std=c99 -Wall -Wextra -Werror -pedantic

EXAMPLES := $(patsubst examples-c/%.c,$(BUILD)/%,$(wildcard examples-c/*.c))
# What a program that links the static library needs besides; tests/examples.rs holds it against what the tests link.
LIBS_PRIVATE := -lpthread -ldl -lm -lrt

.PHONY: build demo test test-long lint header fuzz loom install clean
.DELETE_ON_ERROR:

# The shared and the static library, the command and the examples, in build/.
build: $(BUILD)/nanostate $(BUILD)/libnanostate.so $(BUILD)/libnanostate.a $(EXAMPLES)

# Cargo knows best what is out of date; files that come out the same keep their time.
$(RELEASE)/nanostate $(RELEASE)/libnanostate.so $(RELEASE)/libnanostate.a: release
	@:
.PHONY: release
release:
	@scripts/setup demo
	$(CARGO) build --release

$(BUILD)/nanostate: $(RELEASE)/nanostate
	install -D $< $@

$(BUILD)/libnanostate.so: $(RELEASE)/libnanostate.so
	install -D -m 644 $< $@.$(VERSION)
	ln -sf libnanostate.so.$(VERSION) $(BUILD)/$(SONAME)
	ln -sf $(SONAME) $@

$(BUILD)/libnanostate.a: $(RELEASE)/libnanostate.a scripts/static-library
	mkdir -p $(@D)
	scripts/static-library $< $@

$(BUILD)/%: examples-c/%.c include/nanostate.h $(BUILD)/libnanostate.so
	$(CC) $(CFLAGS) $(WARN) -Iinclude $< -o $@ -L$(BUILD) -lnanostate -Wl,-rpath,'$$ORIGIN'

# Live figures of this machine, from one C program through a hub to others, for about ten seconds.
demo: build
	@scripts/demo

# Everything that has to hold. The tests build what they need themselves.
test: lint
	@scripts/setup test
	$(CARGO) test
	$(MAKE) loom
	@echo "make test: passed: format, clippy, C warnings, header, unit and integration tests, real peers, valgrind, fuzz (bounded), loom"

# The same with many more inputs, and the tests that take minutes. Overnight, not for every change.
test-long: lint
	@scripts/setup test
	NANOSTATE_FUZZ_RUNS=$(or $(RUNS),1000000) PROPTEST_CASES=20000 \
	    $(CARGO) test --release --lib --bins --tests -- --include-ignored
	$(MAKE) loom
	@echo "make test-long: passed"

lint:
	@scripts/setup test
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) clippy --no-default-features -- -D warnings
	$(CC) $(WARN) -Iinclude -fsyntax-only examples-c/*.c

# Writes include/nanostate.h anew; a test fails while it is not what the source gives.
header:
	scripts/header

# Models of what threads share; there must be some. The flag changes every crate, so they have a directory of their own.
LOOM = RUSTFLAGS="--cfg loom" $(CARGO) test --test loom --target-dir $(or $(CARGO_TARGET_DIR),target)/loom
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

# The command, the libraries, the header and a pkg-config file, under $(DESTDIR)$(PREFIX).
install: build
	install -D $(BUILD)/nanostate $(DESTDIR)$(PREFIX)/bin/nanostate
	install -D -m 644 $(BUILD)/libnanostate.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libnanostate.so.$(VERSION)
	ln -sf libnanostate.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libnanostate.so
	install -D -m 644 $(BUILD)/libnanostate.a $(DESTDIR)$(PREFIX)/lib/libnanostate.a
	install -D -m 644 include/nanostate.h $(DESTDIR)$(PREFIX)/include/nanostate.h
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: nanostate' \
	    'Description: Share states between programs, through a hub' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lnanostate' 'Libs.private: $(LIBS_PRIVATE)' \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/nanostate.pc

clean:
	$(CARGO) clean
	rm -rf $(BUILD)
