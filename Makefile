# SPDX-License-Identifier: MIT
#
# `make help` lists what there is to do. B names the build directory, so that variants (sanitizers,
# coverage) live side by side: make B=build/asan SANITIZE=address,undefined

B        ?= build
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
SANITIZE ?=

VERSION   := 1.0.0
SOVERSION := 1

MODULES  := base sys format ring region segment store producer reader
LIB_C    := $(foreach m,$(MODULES),$(wildcard src/$(m)/*.c))
FLUSH_C  := $(wildcard src/flusher/*.c)
TOOL_C   := $(wildcard tools/duralog/*.c)
LIB_O    := $(LIB_C:%.c=$(B)/obj/%.o)
FLUSH_O  := $(FLUSH_C:%.c=$(B)/obj/%.o)
TOOL_O   := $(TOOL_C:%.c=$(B)/obj/%.o)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
            -Wpointer-arith -Wformat=2 -Werror
ARCH     := $(if $(filter x86_64,$(shell uname -m)),-mcx16)
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -fPIC -pthread -fvisibility=hidden \
              -fno-strict-aliasing $(ARCH) $(WARNINGS) -DSHMWAL_VERSION='"$(VERSION)"' \
              -DSHMWAL_BINDIR='"$(PREFIX)/bin"' $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))
ALL_LDFLAGS := -pthread $(LDFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE))

all: $(B)/libshmwal.so $(B)/libshmwal.a $(B)/duralog $(B)/duralog-flusher

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/libshmwal.a: $(LIB_O)
	rm -f $@
	$(AR) rcs $@ $^

$(B)/libshmwal.so: $(LIB_O) src/shmwal.map
	$(CC) -shared -Wl,-soname,libshmwal.so.$(SOVERSION) -Wl,--version-script=src/shmwal.map \
	    -Wl,--no-undefined $(ALL_LDFLAGS) -o $@ $(LIB_O)

$(B)/duralog-flusher: $(FLUSH_O) $(B)/libshmwal.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -l:libnuma.a

$(B)/duralog: $(TOOL_O) $(B)/libshmwal.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -l:libyajl_s.a

clean:
	rm -rf build

.PHONY: all clean
-include $(LIB_O:.o=.d) $(FLUSH_O:.o=.d) $(TOOL_O:.o=.d)
