# tests/support/wallets.sh - ethers and viem, as wallets use them, from npm; source it in the root of the tree.
#
#   wallets_fetch FOLDER     the packages of tests/support/wallets/package-lock.json into .deps/wallets; 1, with the
#                            cause, when npm is not there or cannot fetch
#   wallets ARGUMENT...      tests/support/wallets/wallets.mjs

WALLETS=.deps/wallets

wallets_fetch() {
    local lock=tests/support/wallets/package-lock.json
    command -v node >/dev/null && command -v npm >/dev/null || { echo 'no npm'; return 1; }
    if ! cmp -s $lock $WALLETS/fetched; then
        rm -rf $WALLETS
        mkdir -p $WALLETS
        cp $lock tests/support/wallets/package.json $WALLETS/
        if ! (cd $WALLETS && timeout 300 npm ci --ignore-scripts --no-audit --no-fund --fetch-retries=1 \
            --fetch-retry-mintimeout=1000 >npm.log 2>&1); then
            echo "npm could not fetch the packages ($WALLETS/npm.log)"
            return 1
        fi
        cp $lock $WALLETS/fetched
    fi
    cp tests/support/wallets/wallets.mjs $WALLETS/
}

wallets() { node "$WALLETS/wallets.mjs" "$@"; }
