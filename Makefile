# make            builds build/drlua
# make demo       rehearses the region failover in the simulator
# make test       runs all tests, plain and under the sanitizers
# make install PREFIX=/usr/local
# make histories lint bench conformance truth fuzz
SHELL = /bin/bash
PREFIX ?= /usr/local
BUILD ?= build
PACKAGES = libcurl libcrypto libpq sqlite3 libmicrohttpd expat zlib

CC = gcc
WARNINGS = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wvla -Wformat=2
HARDENED = -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
CFLAGS = -std=c11 -O2 -g $(WARNINGS) $(HARDENED) -D_DEFAULT_SOURCE
LDFLAGS = -pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed
ifdef SANITIZE
CFLAGS := $(filter-out -O2,$(CFLAGS)) -O1 -fno-omit-frame-pointer \
  -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS += -fsanitize=address,undefined
else
CFLAGS += -D_FORTIFY_SOURCE=2
endif

# Package flags are asked for when a recipe needs them, not while setup has yet to run.
PACKAGE_CFLAGS = $(shell pkg-config --cflags lua5.4 lua5.4-cjson $(PACKAGES))
PACKAGE_LIBS = -l:liblua5.4.a -l:liblua5.4-cjson.a $(shell pkg-config --libs $(PACKAGES)) -lm -lpthread

SOURCES := $(sort $(wildcard engine/*.c engine/*/*.c engine/*/*/*.c))
OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o)
EMBEDDED := $(sort $(shell find stdlib -name '*.lua' 2>/dev/null))

# The plain build carries the library compiled too; the others load its source.
CHUNKS = $(if $(filter build,$(BUILD)),$(BUILD)/chunks_data.o,$(BUILD)/no_chunks.o)

all: $(BUILD)/drlua

$(BUILD)/drlua: $(OBJECTS) $(BUILD)/embed_data.o $(CHUNKS) $(BUILD)/models_data.o
	@echo link $@
	@$(CC) $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS)

# AWS's service models are compiled by drlua itself: a first stage without any.
# Other builds (sanitized, fuzzed) take those of the plain one.
MODELS = build/models.bin
ifeq ($(BUILD),build)
$(BUILD)/drlua-stage1: $(OBJECTS) $(BUILD)/embed_data.o $(BUILD)/no_chunks.o $(BUILD)/no_models.o
	@$(CC) $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS)

$(BUILD)/chunks_data.o: $(EMBEDDED) scripts/embed scripts/compile_chunks.lua $(BUILD)/embedded.list \
  | $(BUILD)/drlua-stage1
	@mkdir -p $(sort $(dir $(EMBEDDED:%=$(BUILD)/chunks/%)))
	@$(BUILD)/drlua-stage1 script scripts/compile_chunks.lua $(BUILD)/chunks $(EMBEDDED)
	@cd $(BUILD)/chunks && ../../scripts/embed -t compiled $(EMBEDDED) > data.S && $(CC) -c -o ../chunks_data.o data.S

$(MODELS): stdlib/aws/compiler.lua stdlib/aws/constraints.lua scripts/compile_models.lua scripts/models.txt \
  engine/model/model.h | $(BUILD)/drlua-stage1
	@test -d build/botocore/data || scripts/setup
	@$(BUILD)/drlua-stage1 script scripts/compile_models.lua build/botocore/data $@ build/docs.bin
else
$(MODELS):
	@env -u MAKEFLAGS -u MAKELEVEL $(MAKE) -s $@
endif

$(BUILD)/models_data.o: $(MODELS) scripts/incbin
	@scripts/incbin drlua_models $(MODELS) | $(CC) -x assembler -c -o $@ -

$(BUILD)/no_chunks.o: scripts/embed
	@mkdir -p $(@D)
	@scripts/embed -t compiled | $(CC) -x assembler -c -o $@ -

$(BUILD)/no_models.o: scripts/incbin
	@mkdir -p $(@D)
	@scripts/incbin drlua_models | $(CC) -x assembler -c -o $@ -

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo cc $<
	@$(CC) $(CFLAGS) $(shell cat $(BUILD)/flags) -Iengine -MMD -MP -c -o $@ $<

$(BUILD)/flags: Makefile
	@mkdir -p $(@D)
	@echo '$(PACKAGE_CFLAGS)' > $@

# The list of files is part of the rule: a file added or taken away counts.
$(BUILD)/embed_data.S: $(EMBEDDED) scripts/embed $(BUILD)/embedded.list
	@mkdir -p $(@D)
	@scripts/embed $(EMBEDDED) > $@

$(BUILD)/embedded.list: FORCE
	@mkdir -p $(@D)
	@echo '$(EMBEDDED)' | cmp -s - $@ || echo '$(EMBEDDED)' > $@

$(BUILD)/embed_data.o: $(BUILD)/embed_data.S
	@$(CC) -c -o $@ $<

-include $(OBJECTS:.o=.d)

# The two commands of README. Both set the machine up first.
demo: setup
	@$(MAKE) -s all
	$(BUILD)/drlua rehearse playbooks/region_failover.lua

test: setup-tests
	@$(MAKE) -s all
	@$(MAKE) -s all BUILD=build/asan SANITIZE=1
	@$(MAKE) -s lint
	scripts/test

setup:
	@scripts/setup
setup-tests:
	@scripts/setup --tests
setup-fuzz:
	@scripts/setup --fuzz

# Tests of the plain build only, by path: make check FILTER=engine/pq
check: all
	$(BUILD)/drlua script tests/run.lua $(FILTER)

# Random histories of runs, by the engine and by the model of its rules: make histories
# N=100000 (about 10 minutes); FROM=1 is the first seed
histories: all
	$(BUILD)/drlua script tests/model/run.lua $(or $(N),10000) $(or $(FROM),1)

lint: all
	luacheck -q .
	$(BUILD)/drlua script scripts/lint.lua

bench: setup-tests
	@$(MAKE) -s all
	tests/bench/run

# Official vectors, or any in their form: make conformance VECTORS=directory
conformance: all
	@test -n "$(VECTORS)" || { echo "make conformance VECTORS=directory"; exit 2; }
	@failed=0; for file in tests/conformance/*.lua; do \
	  $(BUILD)/drlua script $$file "$(VECTORS)" || failed=1; done; exit $$failed

# Responses recorded from AWS (docs/truth.md): make truth RECORDINGS=directory
truth: all
	@test -n "$(RECORDINGS)" || { echo "make truth RECORDINGS=directory"; exit 2; }
	@$(BUILD)/drlua script tests/truth/main.lua "$(RECORDINGS)"

# libFuzzer, with clang: make fuzz SECONDS=60 TARGETS="xml json"
SECONDS = 30
FUZZ_FLAGS = -std=c11 -O1 -g -D_DEFAULT_SOURCE -fsanitize=address,undefined \
  -fno-sanitize-recover=undefined
fuzz: setup-fuzz all
	@$(MAKE) -s build/fuzz/target build/fuzz/scan BUILD=build/fuzz CC=clang-14 \
	  CFLAGS='$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link' LDFLAGS=-fsanitize=fuzzer,address,undefined
	scripts/fuzz build/fuzz $(SECONDS) $(TARGETS)

build/fuzz/%: tests/fuzz/%.c $(filter-out %/main.o,$(OBJECTS)) $(BUILD)/embed_data.o $(BUILD)/no_chunks.o $(BUILD)/models_data.o
	@$(CC) $(CFLAGS) $(shell cat $(BUILD)/flags) -Iengine $(LDFLAGS) -o $@ $^ $(PACKAGE_LIBS)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/drlua
	install -m 755 $(BUILD)/drlua $(DESTDIR)$(PREFIX)/bin/drlua
	install -m 644 build/docs.bin $(DESTDIR)$(PREFIX)/share/drlua/docs.bin
	cp -R playbooks docs README.md $(DESTDIR)$(PREFIX)/share/drlua/

deb: all
	scripts/deb $(BUILD)

clean:
	rm -rf build

FORCE:
.PHONY: all demo test setup setup-tests setup-fuzz fuzz check histories lint bench conformance truth install deb clean FORCE
