# SPDX-License-Identifier: MIT
#
# `make help` lists what there is to do. B names the build directory, so that variants live side by
# side: `make B=build/asan SANITIZE=address,undefined`.
#
# Knows where the sources lie, and the layers of src/ by name. Changes when a part is added.

B        ?= build
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
SANITIZE ?=
PYTHON   ?= python3

VERSION   := 1.0.0
SOVERSION := 1
JOBS      := $(shell nproc 2>/dev/null || echo 2)

# ---- What is built from what ---------------------------------------------------------------------

MODULES  := base sys format ring region segment store producer reader python
LIB_C    := $(foreach m,$(MODULES),$(wildcard src/$(m)/*.c))
FLUSH_C  := $(wildcard src/flusher/*.c)
TOOL_C   := $(wildcard tools/duralog/*.c)
TEST_C   := $(wildcard tests/c/test_*.c)
LIB_O    := $(LIB_C:%.c=$(B)/obj/%.o)
FLUSH_O  := $(FLUSH_C:%.c=$(B)/obj/%.o)
TOOL_O   := $(TOOL_C:%.c=$(B)/obj/%.o)
TEST_HELP_O := $(patsubst %.c,$(B)/obj/%.o,$(filter-out $(TEST_C),$(wildcard tests/c/*.c)))
TESTS    := $(TEST_C:tests/c/%.c=$(B)/tests/%)
MAN_SCD  := $(if $(shell command -v scdoc),$(wildcard tools/man/*.scd))
MAN      := $(MAN_SCD:tools/man/%.scd=$(B)/man/%)
C_FILES  := $(wildcard include/*.h src/*/*.[ch] tools/*/*.[ch] tests/*.h tests/*/*.[ch] \
            bench/*.[ch] bench/peers/*.[ch])

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
            -Wpointer-arith -Wformat=2 -Werror
ARCH     := $(if $(filter x86_64,$(shell uname -m)),-mcx16)
C_FLAGS  := -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -fPIC -pthread -fvisibility=hidden \
            -fno-strict-aliasing $(ARCH) $(WARNINGS) -DSHMWAL_VERSION='"$(VERSION)"' \
            -DSHMWAL_BINDIR='"$(PREFIX)/bin"' $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))
LD_FLAGS := -pthread $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# ---- Building ------------------------------------------------------------------------------------

all: $(addprefix $(B)/,libshmwal.so libshmwal.a duralog duralog-flusher) ## the default: build it

# A change of compiler, flags or PREFIX builds everything anew.
$(B)/flags: export FLAGS := $(CC) $(C_FLAGS) $(LD_FLAGS)
$(B)/flags: always
	@mkdir -p $(@D)
	@echo "$$FLAGS" | cmp -s - $@ || echo "$$FLAGS" >$@

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) -MMD -MP -c -o $@ $<

# What is compiled for a processor that not everybody has; src/format/checksum.c asks.
ifneq ($(filter -mcx16,$(ARCH)),)
$(B)/obj/src/format/checksum_avx2.o: private C_FLAGS += -mavx2
$(B)/obj/src/format/checksum_avx512.o: private C_FLAGS += -mavx512f
endif

$(B)/libshmwal.a: $(LIB_O)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/libshmwal.so: $(LIB_O) src/shmwal.map
	$(CC) -shared -Wl,-soname,libshmwal.so.$(SOVERSION) -Wl,--version-script=src/shmwal.map \
	    -Wl,--no-undefined $(LD_FLAGS) -o $@ $(LIB_O)

$(B)/duralog-flusher: $(FLUSH_O) $(B)/libshmwal.a
	$(CC) $(LD_FLAGS) -o $@ $^ -l:libnuma.a

$(B)/duralog: $(TOOL_O) $(B)/libshmwal.a
	$(CC) $(LD_FLAGS) -o $@ $^ -l:libyajl_s.a -l:libz.a

$(B)/man/%: tools/man/%.scd
	@mkdir -p $(@D)
	scdoc <$< >$@

# ---- Tests' programs -----------------------------------------------------------------------------

tests: $(TESTS) ## build the C tests: build/tests/test_*

# What tests share, and the flusher's modules; the linker takes from it what a test needs.
$(B)/tests/inner.a: $(TEST_HELP_O) $(filter-out %/main.o,$(FLUSH_O))
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

# A test may say what else its link needs in a comment of its first lines: LDFLAGS: -Wl,--wrap=...
$(B)/tests/%: $(B)/obj/tests/c/%.o $(B)/tests/inner.a $(B)/libshmwal.a
	$(CC) $(LD_FLAGS) -o $@ $^ \
	    $$(sed -n '1,10s/.*LDFLAGS: *\([^*]*\).*/\1/p' tests/c/$*.c) \
	    $$(pkg-config --libs check) -l:libnuma.a

# Preloaded by the suite valgrind.
$(B)/tests/valgrind.so: $(B)/obj/tests/valgrind/locks.o
	@mkdir -p $(@D)
	$(CC) -shared $(LD_FLAGS) -o $@ $^

$(B)/tests/kill: $(B)/obj/tests/kill/kill.o $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -o $@ $^

# The torture of the store, and flushers that lose data, which it must catch.
POWER_C := $(addprefix tests/torture/,power.c device.c history.c states.c tape.c workload.c)
FLIPS_C := $(addprefix tests/torture/,flips.c history.c)
INJECT_C := $(addprefix tests/torture/,inject.c history.c tape.c)
CRASH_C := $(addprefix tests/torture/,crash.c history.c model.c)
LOSSY   := $(patsubst tests/torture/%.c,$(B)/tests/flusher_%,$(wildcard tests/torture/lossy_*.c))

torture-programs: all $(addprefix $(B)/tests/,power flips inject crash) $(LOSSY)

$(B)/tests/power: $(POWER_C:%.c=$(B)/obj/%.o) $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -o $@ $^ -lfuse3

$(B)/tests/flips: $(FLIPS_C:%.c=$(B)/obj/%.o)
$(B)/tests/inject: $(INJECT_C:%.c=$(B)/obj/%.o)
$(B)/tests/flips $(B)/tests/inject: $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)

WRAPPED := openat pwrite_full punch allocate fsync fdatasync renameat unlinkat
$(B)/tests/crash: $(CRASH_C:%.c=$(B)/obj/%.o) $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) $(WRAPPED:%=-Wl,--wrap=sys_%) -o $@ $^

$(B)/tests/flusher_lossy_%: $(B)/obj/tests/torture/lossy_%.o $(FLUSH_O) $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -o $@ $^ -l:libnuma.a \
	    $$(sed -n '1,10s/.*LDFLAGS: *\([^*]*\).*/\1/p' tests/torture/lossy_$*.c)

$(B)/tests/mad: $(B)/obj/tests/mad/mad.o $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -o $@ $^

# x86-64 only. Calls into the C library go through a table that is full from the start: see
# stepping.h.
$(B)/tests/step: $(B)/obj/tests/step/step.o $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -Wl,-z,now -o $@ $^

# Fuzzers, by clang: everything is built anew, in a directory of its own.
FUZZ_C  := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS := $(FUZZ_C:tests/fuzz/%.c=$(B)/tests/%)

fuzzers-built:
	@$(MAKE) -s -j$(JOBS) B=$(B)/fuzz CC=clang \
	    SANITIZE=address,undefined,fuzzer-no-link fuzzers

# The command line but for its main().
$(B)/tests/tool.a: $(filter-out %/main.o,$(TOOL_O))
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

fuzzers: $(FUZZERS)
$(FUZZERS): $(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/tests/inner.a $(B)/tests/tool.a \
            $(B)/libshmwal.a
	@mkdir -p $(@D)
	$(CC) $(LD_FLAGS) -fsanitize=fuzzer -o $@ $^ -l:libyajl_s.a -l:libz.a \
	    $$(sed -n '1,10s/.*LDFLAGS: *\([^*]*\).*/\1/p' tests/fuzz/fuzz_$*.c)

.SECONDARY: $(TEST_C:%.c=$(B)/obj/%.o)

# ---- Installing ----------------------------------------------------------------------------------

BINDIR     := $(PREFIX)/bin
LIBDIR     := $(PREFIX)/lib
INCLUDEDIR := $(PREFIX)/include
MANDIR     := $(PREFIX)/share/man
UNITDIR    := $(PREFIX)/lib/systemd/system
REALNAME   := libshmwal.so.$(VERSION)

$(B)/shmwal.pc: $(B)/flags
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	    'Name: shmwal' 'Description: One write-ahead log, shared by the processes of one machine' \
	    'Version: $(VERSION)' 'Libs: -L$${libdir} -lshmwal' 'Libs.private: -pthread' \
	    'Cflags: -I$${includedir}' >$@

install: all $(MAN) $(B)/shmwal.pc ## install below PREFIX (/usr/local); honours DESTDIR
	install -d $(addprefix $(DESTDIR),$(BINDIR) $(LIBDIR)/pkgconfig $(INCLUDEDIR) $(UNITDIR))
	install -m 755 $(B)/duralog $(B)/duralog-flusher $(DESTDIR)$(BINDIR)
	install -m 644 $(B)/libshmwal.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(B)/libshmwal.so $(DESTDIR)$(LIBDIR)/$(REALNAME)
	ln -sf $(REALNAME) $(DESTDIR)$(LIBDIR)/libshmwal.so.$(SOVERSION)
	ln -sf libshmwal.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libshmwal.so
	install -m 644 include/shmwal.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(B)/shmwal.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(foreach page,$(notdir $(MAN)),install -D -m 644 $(B)/man/$(page) \
	    $(DESTDIR)$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(page) &&) :
	install -D -m 644 tools/completions/duralog.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/duralog
	$(foreach unit,$(wildcard tools/systemd/*.service),sed 's|@BINDIR@|$(BINDIR)|g' $(unit) \
	    >$(DESTDIR)$(UNITDIR)/$(notdir $(unit)) &&) :

# ---- Trying and checking -------------------------------------------------------------------------

RUN := B=$(B) build/venv/bin/python tests/run

quickstart: ## the main job on this machine's own data; installs what is missing
	@tools/setup quickstart
	@echo "building into $(B)/"
	@$(MAKE) -s -j$(JOBS) all
	@build/venv/bin/python tools/quickstart.py --build $(B)

check: ## all tests and lint; installs what is missing
	@tools/setup check
	@$(RUN)

# One suite of `make check` by itself.
unit: ## the C tests
tsan: ## the C tests that run threads, under ThreadSanitizer
asan: ## the C tests under AddressSanitizer and UndefinedBehaviorSanitizer
valgrind: ## the C tests under valgrind
python: ## the tests of the Python package
cli: ## the tests of the command line
servers: ## gunicorn, uvicorn, uWSGI, celery and pools of processes, under load
system: ## the tests of the whole: install, quickstart, system calls
kill: ## SIGKILL at random moments, a hundred rounds
model: ## the ring's protocol, checked exhaustively, and its mutants
weak: ## the C code's memory orderings under GenMC, which is fetched and built; five minutes
fuzz: ## hostile files, a few seconds each; FUZZ_SECONDS=3600 for longer
torture: ## faults of the store, short forms: power loss, failing calls, rot
lint: ## formatters, linters, types and the rules of the house
mad: ## a producer stores random values all over the ring
step: ## SIGKILL between two instructions of the public calls, a sample of them
unit tsan asan valgrind python cli servers system kill mad step model torture fuzz lint:
	@tools/setup check
	@$(RUN) $@

weak:
	@tools/setup weak
	@$(RUN) weak

# Long forms. A seed that finds something is printed, and finds it again.
SEED    ?= 1
TORTURE := DURALOG_FLUSHER=$(CURDIR)/$(B)/duralog-flusher nice -n 19 $(B)/tests

torture-kill: ## SIGKILL at random moments, 100,000 times; some twenty minutes
	@tools/setup check
	@$(MAKE) -s -j$(JOBS) all $(B)/tests/kill
	B=$(B) tests/kill/campaign

torture-mad: ## a producer stores random values all over the ring, 3,000 rounds; half an hour or so
	@tools/setup check
	@MAD_ROUNDS=3000 $(RUN) mad

torture-step: ## SIGKILL between any two instructions of the public calls; an hour or so
	@tools/setup check
	@STRIDE=1 $(RUN) step

torture-power: ## power loss: 100,000 states on ext4, 30,000 on xfs, 30,000 on btrfs; an hour
	@tools/setup check
	@$(MAKE) -s -j$(JOBS) torture-programs
	$(TORTURE)/power --seed $(SEED) --fs ext4 --states 100000
	$(TORTURE)/power --seed $(SEED) --fs xfs --states 30000
	$(TORTURE)/power --seed $(SEED) --fs btrfs --states 30000

torture-crash: ## power loss as a model of a file system has it: 200,000 states; ten minutes
	@tools/setup check
	@$(MAKE) -s -j$(JOBS) torture-programs
	$(TORTURE)/crash --seed $(SEED) --states 200000

torture-inject: ## every system call of the flusher fails, and is its last; an hour or two
	@tools/setup check
	@$(MAKE) -s -j$(JOBS) torture-programs
	$(TORTURE)/inject --all

torture-flips: ## every bit of a log flipped; half an hour
	@tools/setup check
	@$(MAKE) -s -j$(JOBS) torture-programs
	$(TORTURE)/flips --all --seed $(SEED)

coverage: ## which branches no test takes, and whether each has its reason; a quarter of an hour
	@tools/setup check
	@B=$(B) build/venv/bin/python tests/coverage/branches.py $(ARGS)

bench: ## measure beside floors and peers, 15 minutes; ARGS=--commit puts it into the documents
bench-quick: ## less of everything, in under a minute
bench-curves: ## cost as records, rings, logs and crowds grow, up to a log of 20 GiB
bench-guard: ## measure, and fail where a ratio is worse than the committed one
bench-quick: MODE := --quick
bench-curves: MODE := --long
bench-guard: MODE := --guard
bench bench-quick bench-curves bench-guard:
	@tools/setup bench
	@B=$(B) build/venv/bin/python bench/run $(MODE) $(ARGS)

wheel: ## build/dist: the source distribution and the wheel
	@tools/setup wheel
	@build/venv/bin/python tools/wheel.py

wheel-check: ## the wheel in every interpreter that is here or can be fetched
	@tools/setup check
	@build/venv/bin/python tests/system/interpreters.py fetch
	@build/venv/bin/python -m pytest -q -p no:cacheprovider tests/system/test_wheel.py

format: ## format C and Python in place
	@tools/setup check
	clang-format -i $(C_FILES)
	build/venv/bin/ruff format .
	build/venv/bin/ruff check --fix .

# The two linters of C by themselves, for tests/run. clang-tidy counts what it left out on stderr;
# it leaves out the peers, whose headers need not be there.
lint-format:
	clang-format --dry-run -Werror $(C_FILES)

lint-tidy:
	printf '%s\n' $(filter-out bench/peers/%,$(filter %.c,$(C_FILES))) | \
	    xargs -P $(JOBS) -I FILE clang-tidy --quiet FILE -- $(C_FLAGS) 2>/dev/null

clean: ## remove what was built
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

always:
.PHONY: all tests install quickstart check unit tsan asan valgrind python cli servers system kill \
        mad step model weak torture coverage torture-kill torture-mad torture-step torture-power \
        torture-crash torture-inject torture-flips \
        torture-programs fuzz fuzzers fuzzers-built lint bench bench-quick bench-curves \
        bench-guard wheel wheel-check format lint-format lint-tidy clean help always
-include $(patsubst %.o,%.d,$(LIB_O) $(FLUSH_O) $(TOOL_O) $(TEST_HELP_O) \
           $(patsubst %.c,$(B)/obj/%.o,\
               $(wildcard tests/kill/*.c tests/mad/*.c tests/step/*.c tests/torture/*.c))) \
           $(TEST_C:%.c=$(B)/obj/%.d)
