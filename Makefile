# A thin front door. The work is in CMakePresets.json, scripts/ and tests/.
#   make test                       what is missing is installed, then build with sanitizers and test
#   make soak                       the long forms of those tests that have one: hours
#   make demo                       the whole story on this machine, in under a minute
#   make install DESTDIR=D prefix=/usr

SHELL   = /bin/bash
prefix ?= /usr/local
DESTDIR ?=

.DEFAULT_GOAL := help
.PHONY: help test soak demo bench release install format tidy clean

help:
	@echo 'make test      build with sanitizers and run every test'
	@echo 'make soak      run the long forms of the tests, for hours'
	@echo 'make demo      show what measured does, on a chain of its own'
	@echo 'make bench     measure'
	@echo 'make release   build the hardened programs in build/release/bin'
	@echo 'make install   [DESTDIR=D] [prefix=/usr/local]'
	@echo 'make format    run clang-format over the tree'
	@echo 'make tidy      run clang-tidy over the programs (slow)'
	@echo 'make clean     remove build/; downloads in .deps/ stay'

test:
	@scripts/install-deps test
	@scripts/run-tests dev

soak:
	@scripts/install-deps test
	@scripts/soak

demo:
	@scripts/install-deps demo
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target programs rig_tools
	@scripts/demo

bench:
	@scripts/install-deps build
	@scripts/bench

release:
	@scripts/install-deps build
	cmake --preset release
	cmake --build --preset release

# What is built already is brought up to date but never needs the network. The prefix given here wins over the
# one the build was configured with.
install:
	@if [ -x build/release/bin/measured ] && [ -x build/release/bin/measuredctl ]; then \
	    cmake --build --preset release; else $(MAKE) --no-print-directory release; fi
	DESTDIR="$$([ -z '$(DESTDIR)' ] || realpath -m '$(DESTDIR)')" cmake --install build/release --prefix '$(prefix)'

format:
	git ls-files '*.c' '*.h' ':!proxy-plugin/nginx' | xargs clang-format-14 -i

tidy:
	@scripts/install-deps ci
	cmake --preset clang
	scripts/tidy build/clang

clean:
	rm -rf build
