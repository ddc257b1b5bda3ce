# SPDX-License-Identifier: Apache-2.0
# Sluice: build, tests, checks. `make help` lists the targets.
#
# Layers are folders of user/ (see ARCHITECTURE.md); each becomes one static library, and a
# binary links the layers that it may use. Files are found by name: a new user/base/foo.c, a new
# tests/unit/base/test_foo.c or tests/fuzz/fuzz_foo.c needs no line here.

V ?= 0
SAN ?= 0
Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),:,printf '  %-7s %s\n' '$(1)' '$(2)')

CC := gcc
CLANG := clang-19
VERSION := 0.1.0
PYTHON := /usr/bin/python3
# Whoever owns the checkout: this only reads.
GIT := git -c safe.directory='*'
COMMIT := $(shell $(GIT) rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
JOBS := $(shell nproc)
PREFIX ?= /usr/local

B := build
ifeq ($(SAN),1)
B := build/san
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SAN),thread)
B := build/tsan
SAN_FLAGS := -fsanitize=thread -fno-omit-frame-pointer
endif

PKGS := libbpf libcares jansson libconfuse libcrypto libpcre2-8 libmicrohttpd libseccomp libcap-ng
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wundef -Wvla -Wwrite-strings -Wno-unused-parameter
CPPFLAGS := -Iuser -Iinclude -D_GNU_SOURCE $(PKG_CFLAGS) \
	-DSLUICE_VERSION='"$(VERSION)"'
OPT ?= -O2
CFLAGS := -std=gnu11 $(OPT) -g -pthread -fno-common $(WARN) $(SAN_FLAGS) \
	$(if $(SAN_FLAGS),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE)
LDFLAGS := -pthread $(SAN_FLAGS) $(if $(SAN_FLAGS),,-pie -Wl,-z,relro,-z,now)

# ---- libraries: one for each layer ---------------------------------------------------------
LAYERS := base proto kern core route app
layer_srcs = $(sort $(wildcard user/$(1)/*.c))
layer_objs = $(patsubst %.c,$(B)/obj/%.o,$(call layer_srcs,$(1)))
layer_lib = $(if $(call layer_srcs,$(1)),$(B)/lib/lib$(1).a)
# Link order: a layer before those below it.
LIBS_L1 := $(call layer_lib,proto) $(call layer_lib,base)
LIBS_L4 := $(call layer_lib,route) $(call layer_lib,core) $(call layer_lib,kern) $(LIBS_L1)

TEST_BPF_OBJS := $(patsubst tests/bpf/%.bpf.c,build/tests/bpf/%.bpf.o,$(sort $(wildcard tests/bpf/*.bpf.c)))

# ---- binaries: user/app/NAME/*.c -> build/NAME; tools/bench/NAME/*.c -> build/NAME ----------
APPS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard user/app/*/*.c)))))
TOOLS := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard tools/bench/*/*.c)))))
BINARIES := $(addprefix $(B)/,$(APPS) $(TOOLS))
app_objs = $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard user/app/$(1)/*.c)))
tool_objs = $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tools/bench/$(1)/*.c)))

# ---- tests -----------------------------------------------------------------------------------
UNIT_SRCS := $(sort $(wildcard tests/unit/*/test_*.c))
# Those that start threads; with SAN=thread they are all that there is.
THREADED := base/test_log base/test_mailbox base/test_random bpf/test_splice_race bpf/test_splice_walk_race core/test_config core/test_conn_id \
	core/test_events core/test_worker kern/test_port_pool route/test_breaker
ifeq ($(SAN),thread)
UNIT_SRCS := $(THREADED:%=tests/unit/%.c)
endif
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRCS))
TEST_CPPFLAGS := -Itests -I. -DSLUICE_SOURCE_DIR='"$(CURDIR)"'
TEST_LIB_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/lib/*.c)))
$(B)/obj/tests/lib/%.o: CPPFLAGS += $(TEST_CPPFLAGS)
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRCS))

.PHONY: all build
all: build
build: $(BINARIES) $(TEST_BPF_OBJS) ## the binaries, in build/ (SAN=1: with ASan and UBSan, in build/san/)

$(B)/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define layer_rule
$(B)/lib/lib$(1).a: $(call layer_objs,$(1))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

LIBS_sluice-loader := -lbpf
LIBS_sluicectl := $(shell pkg-config --libs ncursesw 2>/dev/null)

define app_rule
$(B)/$(1): $(call app_objs,$(1)) $(call layer_lib,app) $(LIBS_L4)
	$$(call say,LD,$$@)
	$$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(PKG_LIBS) $(LIBS_$(1))
endef
$(foreach a,$(APPS),$(eval $(call app_rule,$(a))))

define tool_rule
$(B)/$(1): $(call tool_objs,$(1)) $(LIBS_L1)
	$$(call say,LD,$$@)
	$$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(PKG_LIBS) -lm
endef
$(foreach t,$(TOOLS),$(eval $(call tool_rule,$(t))))

# ---- kernel programs: bpf/NAME.bpf.c -> build/bpf/NAME.bpf.o, NAME.skel.h --------------------
# They use the kernel's uapi headers alone, and so need no BTF of a kernel to be built.
BPF_SRCS := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJS := $(BPF_SRCS:bpf/%.bpf.c=build/bpf/%.bpf.o)
BPF_SKELS := $(BPF_OBJS:.bpf.o=.skel.h)
BPF_CFLAGS := -g -O2 -target bpf -mcpu=v3 -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter \
	-I. -Iinclude -I/usr/include/$(shell $(CC) -print-multiarch)

build/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF build/bpf/$*.d -c -o $@ $<

# Those of tests: never installed.
build/tests/bpf/%.bpf.o: tests/bpf/%.bpf.c Makefile
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF build/tests/bpf/$*.d -c -o $@ $<

build/bpf/%.skel.h: build/bpf/%.bpf.o
	$(Q)bpftool gen skeleton $< name $* >$@.new
	@mv $@.new $@

# Skeletons are for one object, which embeds them.
$(B)/obj/user/app/sluice-loader/embedded.o: CPPFLAGS += -Ibuild/bpf
$(B)/obj/user/app/sluice-loader/embedded.o: $(BPF_SKELS)

# The commit is known to one small object only, so that a commit does not rebuild everything.
$(B)/obj/user/base/version.o: CPPFLAGS += -DSLUICE_COMMIT='"$(COMMIT)"'
$(B)/obj/user/base/version.o: $(B)/commit
$(B)/commit: always
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' >$@
.PHONY: always

$(B)/tests/unit/%: tests/unit/%.c $(TEST_LIB_OBJS) $(call layer_lib,app) $(LIBS_L4)
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(TEST_CPPFLAGS) $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
		$(filter %.o %.a,$^) $(PKG_LIBS) -lcmocka -lm

# Unit tests of a tool link its objects, all but its main().
define tool_test_rule
$(B)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(filter-out %/main.o,$(call tool_objs,$(1))) \
		$(TEST_LIB_OBJS) $(LIBS_L1)
	$$(call say,TEST,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(TEST_CPPFLAGS) -Itools/bench $$(CFLAGS) -MMD -MP -MF $$@.d $$(LDFLAGS) \
		-o $$@ $$< $$(filter %.o %.a,$$^) $$(PKG_LIBS) -lcmocka -lm
endef
$(foreach t,$(TOOLS),$(eval $(call tool_test_rule,$(t))))

# Likewise those of a program of user/app/, where they are not in tests/unit/app/.
define app_test_rule
$(B)/tests/unit/$(1)/%: tests/unit/$(1)/%.c $(filter-out %/main.o,$(call app_objs,$(1))) \
		$(TEST_LIB_OBJS) $(call layer_lib,app) $(LIBS_L4)
	$$(call say,TEST,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(CPPFLAGS) $$(TEST_CPPFLAGS) $$(CFLAGS) -MMD -MP -MF $$@.d $$(LDFLAGS) \
		-o $$@ $$< $$(filter %.o %.a,$$^) $$(PKG_LIBS) $$(LIBS_$(1)) -lcmocka -lm
endef
$(foreach a,$(APPS),$(eval $(call app_test_rule,$(a))))

# Some load the kernel programs.
$(filter $(B)/tests/unit/bpf/%,$(UNIT_BINS)): | $(BPF_OBJS)

.PHONY: unit-bins
unit-bins: $(UNIT_BINS)

# ---- fuzzing: libFuzzer over the layers' sources, all compiled by clang with coverage ---------
FUZZ_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fsanitize=fuzzer-no-link -Wno-unused-parameter
FUZZ_LIB_OBJS := $(patsubst %.c,build/fuzz/obj/%.o,$(foreach l,base proto kern core route app,$(call layer_srcs,$(l))))

build/fuzz/obj/%.o: %.c Makefile
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -DSLUICE_COMMIT='"fuzz"' -MMD -MP -c -o $@ $<

build/fuzz/libsluice.a: $(FUZZ_LIB_OBJS)
	@rm -f $@
	$(Q)ar rcs $@ $^

build/fuzz/%: tests/fuzz/%.c build/fuzz/libsluice.a
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -Itests -I. $(FUZZ_CFLAGS) -MMD -MP -MF $@.d -fsanitize=fuzzer -o $@ $< \
		build/fuzz/libsluice.a $(PKG_LIBS) -pthread

.PHONY: fuzz-bins
fuzz-bins: $(FUZZ_BINS)

# Peers for the end-to-end tests that come from npm.
build/node/.stamp: tests/e2e/node/package.json
	$(call say,NPM,$<)
	@mkdir -p $(@D)
	@cp $< $(@D)/package.json
	$(Q)npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --no-package-lock \
		--no-update-notifier --loglevel=error
	@touch $@

# ---- lint: each check is a target lint-NAME of its own ----------------------------------------
JS_FILES := $(wildcard tests/e2e/node/*.js)
MAN_PAGES := $(wildcard docs/man/*.[1-9])
LINTS := layers tour format cppcheck tidy shell python $(if $(JS_FILES),js) $(if $(MAN_PAGES),man)
C_DIRS := $(wildcard include user bpf tests tools)
C_FILES := $(sort $(shell find $(C_DIRS) -name '*.[ch]'))
# BPF objects are another language to these two: no libc, kernel types.
ANALYSED := $(filter-out bpf/% %.bpf.h %.bpf.c,$(C_FILES))
TIDY_STAMPS := $(patsubst %.c,build/lint/%.tidy,$(filter %.c,$(ANALYSED)))
# Scripts, by their first line.
scripts = $(shell grep -rlIE --exclude-dir=node_modules '^\#!.*\b($(1))' $(wildcard .ci tests tools vmtest))
LINT_CPPFLAGS := $(CPPFLAGS) $(TEST_CPPFLAGS) -Itools/bench -DSLUICE_COMMIT='""'

.PHONY: lint-layers lint-tour lint-format lint-cppcheck lint-tidy lint-shell lint-python lint-js \
	lint-man
lint-layers:
	$(Q)tools/check-layers
lint-tour:
	$(Q)tools/check-tour
lint-format:
	$(Q)clang-format-19 --dry-run -Werror $(C_FILES)
lint-cppcheck:
	@mkdir -p build/lint/cppcheck
	$(Q)cppcheck --quiet -j$(JOBS) --std=c11 --enable=warning,performance,portability \
		--inline-suppr --suppressions-list=tools/cppcheck.txt --error-exitcode=1 \
		--cppcheck-build-dir=build/lint/cppcheck --library=posix --library=tools/cppcheck.cfg \
		$(filter -I% -D%,$(LINT_CPPFLAGS)) $(filter %.c,$(ANALYSED))
lint-tidy: $(TIDY_STAMPS)
lint-shell:
	$(Q)shellcheck $(call scripts,ba?sh|sh) $(COMPLETIONS)
lint-python:
	$(Q)$(PYTHON) -m pyflakes $(sort $(call scripts,python3?) \
		$(shell find $(wildcard tests tools vmtest) -name '*.py'))
lint-js:
	$(Q)for file in $(JS_FILES); do node --check $$file || exit 1; done
# groff warns and succeeds: any word from it is a finding.
lint-man:
	$(Q)for page in $(MAN_PAGES); do \
		said=$$(groff -man -Tutf8 -ww -z $$page 2>&1) && [ -z "$$said" ] || \
		{ echo "$$page: $$said"; exit 1; }; done

build/lint/user/app/sluice-loader/embedded.tidy: LINT_CPPFLAGS += -isystem build/bpf
build/lint/user/app/sluice-loader/embedded.tidy: $(BPF_SKELS)

# The analyzer gives a function up after so many states of it. By its own bound, three times this
# one, two thirds of the time go where no block of code is new to it (its debug.Stats counts them).
TIDY_FLAGS := -std=gnu11 -Xclang -analyzer-config -Xclang max-nodes=75000

# A stamp says that the file was clean with these headers and these rules.
build/lint/%.tidy: %.c .clang-tidy Makefile
	$(call say,TIDY,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(LINT_CPPFLAGS) -MM -MP -MT $@ -MF $@.d $<
	$(Q)clang-tidy-19 --quiet $< -- $(TIDY_FLAGS) $(LINT_CPPFLAGS) >$@.log 2>&1 || \
		{ grep -v 'warnings generated' $@.log; exit 1; }
	@touch $@

# ---- what people call ------------------------------------------------------------------------
.PHONY: deps unit tsan e2e fuzz-short lint bench check demo install uninstall clean help
deps: ## install the Debian packages that everything below needs (as root)
	$(Q)tools/deps

unit: ## unit tests (SAN=1: under ASan and UBSan)
	$(Q)tools/run-tests unit$(if $(filter 1,$(SAN)),-san)

tsan: ## unit tests that start threads, under ThreadSanitizer, in build/tsan/
	$(Q)tools/run-tests tsan

e2e: ## end-to-end tests of the binaries (SAN=1: of the sanitized ones)
	$(Q)tools/run-tests e2e$(if $(filter 1,$(SAN)),-san)

fuzz-short: ## every fuzz target for FUZZ_SECONDS (10)
	$(Q)tools/run-tests fuzz-short

test: unit e2e ## unit and end-to-end tests

lint: ## layers, tour, format, cppcheck, clang-tidy, scripts
	$(Q)tools/run-tests lint

check: deps ## all of the above, every result counted (results: out/check.json)
	$(Q)tools/run-tests --json out/check.json all

bench: build ## compare with other proxies, and few routes with many (results: out/)
	$(Q)tools/bench/compare
	$(Q)tools/bench/routes

# What deps installs is only seen by a make that starts behind it.
demo: deps ## install, build, and drive real traffic through a gateway
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build
	$(Q)tools/demo

SBIN := $(filter %/sluiced %/sluice-loader,$(BINARIES))
BIN := $(filter-out $(SBIN) $(B)/micro-%,$(BINARIES))
EXAMPLES = $(wildcard examples/*)
COMPLETIONS = $(wildcard packaging/bash-completion/*)
DOC_DIR := $(PREFIX)/share/doc/sluice

# The key list of sluice.conf(5) comes out of the table that reads the configuration.
$(B)/man/sluice.conf.5: docs/man/sluice.conf.5.in $(B)/sluiced
	$(call say,MAN,$@)
	@mkdir -p $(@D)
	$(Q)$(B)/sluiced --dump-man >$@.keys
	$(Q)sed -e '/^@KEYS@$$/{' -e 'r $@.keys' -e 'd' -e '}' $< >$@

MAN_INSTALLED = $(MAN_PAGES) $(B)/man/sluice.conf.5

COMPLETION_DIR := $(PREFIX)/share/bash-completion/completions

# Units name the programs by the place where they are installed.
UNITS = $(patsubst packaging/systemd/%.in,$(B)/systemd/%,$(wildcard packaging/systemd/*.in))
UNIT_DIR := $(PREFIX)/lib/systemd/system
SYSUSERS = $(wildcard packaging/sysusers.d/*)
SYSUSERS_DIR := $(PREFIX)/lib/sysusers.d

$(B)/systemd/%: packaging/systemd/%.in always
	@mkdir -p $(@D)
	$(Q)sed -e 's|@SBINDIR@|$(PREFIX)/sbin|' -e 's|@BINDIR@|$(PREFIX)/bin|' $< >$@

install: build $(B)/man/sluice.conf.5 $(UNITS) ## copy binaries, manual pages, units, examples below $(DESTDIR)$(PREFIX)
	$(Q)set -e; \
	put() { mode=$$1 to=$(DESTDIR)$$2; shift 2; \
		for file; do install -D -m $$mode "$$file" "$$to/$${file##*/}"; done; }; \
	put 755 $(PREFIX)/sbin $(SBIN); \
	put 755 $(PREFIX)/bin $(BIN); \
	put 644 $(DOC_DIR)/examples $(EXAMPLES); \
	put 644 $(COMPLETION_DIR) $(COMPLETIONS); \
	put 644 $(UNIT_DIR) $(UNITS); \
	put 644 $(SYSUSERS_DIR) $(SYSUSERS); \
	for page in $(MAN_INSTALLED); do put 644 $(PREFIX)/share/man/man$${page##*.} $$page; done

uninstall: ## remove what install copied
	$(Q)set -e; \
	drop() { from=$(DESTDIR)$$1; shift; for file; do rm -f "$$from/$${file##*/}"; done; }; \
	drop $(PREFIX)/sbin $(SBIN); \
	drop $(PREFIX)/bin $(BIN); \
	drop $(COMPLETION_DIR) $(COMPLETIONS); \
	drop $(UNIT_DIR) $(UNITS); \
	drop $(SYSUSERS_DIR) $(SYSUSERS); \
	for page in $(MAN_INSTALLED); do drop $(PREFIX)/share/man/man$${page##*.} $$page; done; \
	rm -rf $(DESTDIR)$(DOC_DIR)

clean: ## remove everything that was built or measured
	rm -rf build out

help: ## this text
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' \
		Makefile vmtest/vmtest.mk
	@echo '  V=1 shows the commands; SAN=1 builds and tests with sanitizers.'

include vmtest/vmtest.mk

# What tools/run-tests asks for.
.PHONY: list-unit list-fuzz list-lint
list-unit:
	@echo $(UNIT_BINS)
list-fuzz:
	@echo $(FUZZ_BINS)
list-lint:
	@echo $(LINTS)

-include $(shell find build -name '*.d' 2>/dev/null)
.SECONDARY:
