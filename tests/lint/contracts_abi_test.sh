#!/bin/sh
# The headers in contracts-abi/ are what contracts-abi/generate.py makes of the ABI files beside them.
# Skipped (77) without python3, which only regeneration needs.
command -v python3 >/dev/null 2>&1 || exit 77
exec python3 contracts-abi/generate.py --check
