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
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

B := build
ifeq ($(SAN),1)
B := build/san
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

PKGS := jansson libconfuse libcrypto
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lev

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wformat=2 -Wundef -Wvla -Wwrite-strings -Wno-unused-parameter
CPPFLAGS := -Iuser -Iinclude -D_GNU_SOURCE $(PKG_CFLAGS) \
	-DSLUICE_VERSION='"$(VERSION)"'
OPT ?= -O2
CFLAGS := -std=gnu11 $(OPT) -g -pthread -fno-common $(WARN) $(SAN_FLAGS) \
	$(if $(filter 1,$(SAN)),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE)
LDFLAGS := -pthread $(SAN_FLAGS) $(if $(filter 1,$(SAN)),,-pie -Wl,-z,relro,-z,now)

# ---- libraries: one for each layer ---------------------------------------------------------
LAYERS := base proto kern core route app
layer_srcs = $(sort $(wildcard user/$(1)/*.c))
layer_objs = $(patsubst %.c,$(B)/obj/%.o,$(call layer_srcs,$(1)))
layer_lib = $(if $(call layer_srcs,$(1)),$(B)/lib/lib$(1).a)
# Link order: a layer before those below it.
LIBS_L1 := $(call layer_lib,proto) $(call layer_lib,base)
LIBS_L4 := $(call layer_lib,route) $(call layer_lib,core) $(call layer_lib,kern) $(LIBS_L1)

# ---- binaries: user/app/NAME/*.c -> build/NAME; tools/bench/NAME/*.c -> build/NAME ----------
APPS := $(notdir $(patsubst %/,%,$(sort $(wildcard user/app/*/))))
TOOLS := $(notdir $(patsubst %/,%,$(sort $(wildcard tools/bench/*/))))
BINARIES := $(addprefix $(B)/,$(APPS) $(TOOLS))
app_objs = $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard user/app/$(1)/*.c)))
tool_objs = $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tools/bench/$(1)/*.c)))

# ---- tests -----------------------------------------------------------------------------------
UNIT_SRCS := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRCS))
TEST_LIB_OBJS := $(patsubst %.c,$(B)/obj/%.o,$(sort $(wildcard tests/lib/*.c)))
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRCS))

.PHONY: all build
all: build
build: $(BINARIES)

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

# The commit is known to one small object only, so that a commit does not rebuild everything.
$(B)/obj/user/base/version.o: CPPFLAGS += -DSLUICE_COMMIT='"$(COMMIT)"'

$(B)/tests/unit/%: tests/unit/%.c $(TEST_LIB_OBJS) $(call layer_lib,app) $(LIBS_L4)
	$(call say,TEST,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -MMD -MP -MF $@.d $(LDFLAGS) -o $@ $< \
		$(filter %.o %.a,$^) $(PKG_LIBS) -lcmocka -lm

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
	$(Q)$(CLANG) $(CPPFLAGS) -Itests $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $< \
		build/fuzz/libsluice.a $(PKG_LIBS) -pthread

.PHONY: fuzz-bins
fuzz-bins: $(FUZZ_BINS)

.PHONY: clean
clean:
	rm -rf build out

-include $(shell find build -name '*.d' 2>/dev/null)
.SECONDARY:
