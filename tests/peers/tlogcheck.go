// tests/peers/tlogcheck.go - the log as golang.org/x/mod/sumdb sees it, which is not our code: notes, tiles, entries,
// proofs of inclusion and of growth.
//
//	tlogcheck FOLDER VKEY PROOF OLD GROWTH
//
// FOLDER is what `measuredctl log export` wrote; PROOF a file of `log prove`; OLD an older checkpoint and GROWTH the
// answer of /v1/log/growth from there. Prints what was checked, or the first thing that is wrong, and exits 1.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error, what string) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func check(ok bool, what string) {
	if !ok {
		fmt.Println("wrong:", what)
		os.Exit(1)
	}
}

func read(name string) []byte {
	data, err := os.ReadFile(name)
	must(err, name)
	return data
}

func hash(text string) tlog.Hash {
	data, err := base64.StdEncoding.DecodeString(text)
	must(err, text)
	var h tlog.Hash
	check(len(data) == len(h), "a hash of "+text)
	copy(h[:], data)
	return h
}

// A checkpoint: origin, size, root.
func open(data []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	must(err, "key")
	n, err := note.Open(data, note.VerifierList(verifier))
	must(err, "checkpoint")
	lines := strings.Split(n.Text, "\n")
	check(lines[0] == verifier.Name(), "origin "+lines[0])
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "size")
	return tlog.Tree{N: size, Hash: hash(lines[2])}
}

// N as x001/x234/067, as Tile.Path has it behind tile/HEIGHT/LEVEL.
func path(folder, kind string, n int64, width int) string {
	t := tlog.Tile{H: 8, L: 0, N: n, W: width}
	return filepath.Join(folder, "v1/log/tile", kind, strings.TrimPrefix(t.Path(), "tile/8/0/"))
}

type reader struct{ folder string }

func (r reader) Height() int                          { return 8 }
func (r reader) SaveTiles([]tlog.Tile, [][]byte)      {}
func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(path(r.folder, strconv.Itoa(t.L), t.N, t.W))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// Hashes up to an empty line, and what stands behind it.
func proof(data []byte, head int) (lines []string, hashes []tlog.Hash, rest []byte) {
	before, rest, found := bytes.Cut(data, []byte("\n\n"))
	check(found, "no empty line in a proof")
	lines = strings.Split(string(before), "\n")
	for _, line := range lines[head:] {
		hashes = append(hashes, hash(line))
	}
	return lines[:head], hashes, rest
}

func main() {
	folder, vkey := os.Args[1], os.Args[2]
	tree := open(read(filepath.Join(folder, "v1/log/checkpoint")), vkey)
	hashes := tlog.TileHashReader(tree, reader{folder})
	root, err := tlog.TreeHash(tree.N, hashes) // also checks the tiles on its way
	must(err, "tiles")
	check(root == tree.Hash, "root of the tiles")

	for n := int64(0); n*256 < tree.N; n++ {
		width := 256
		if tree.N-n*256 < 256 {
			width = int(tree.N - n*256)
		}
		bundle := read(path(folder, "entries", n, width))
		for i := 0; i < width; i++ {
			length := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+length]
			bundle = bundle[2+length:]
			id := n*256 + int64(i)
			stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, id)})
			must(err, "leaf")
			check(stored[0] == tlog.RecordHash(entry), fmt.Sprint("entry ", id))
			p, err := tlog.ProveRecord(tree.N, id, hashes)
			must(err, "proof of its own")
			must(tlog.CheckRecord(p, tree.N, tree.Hash, id, tlog.RecordHash(entry)), "its own proof")
		}
		check(len(bundle) == 0, "the end of a bundle")
	}

	head, path, rest := proof(read(os.Args[3]), 3)
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(head[1], "extra "))
	must(err, "extra")
	id, err := strconv.ParseInt(strings.TrimPrefix(head[2], "index "), 10, 64)
	must(err, "index")
	signed := open(rest, vkey)
	must(tlog.CheckRecord(path, signed.N, signed.Hash, id, tlog.RecordHash(extra)), "our proof")

	old := open(read(os.Args[4]), vkey)
	_, grown, rest := proof(read(os.Args[5]), 1)
	signed = open(rest, vkey)
	must(tlog.CheckTree(grown, signed.N, signed.Hash, old.N, old.Hash), "our proof of growth")
	theirs, err := tlog.ProveTree(signed.N, old.N, hashes)
	must(err, "growth")
	check(fmt.Sprint(theirs) == fmt.Sprint(tlog.TreeProof(grown)), "proofs of growth are not the same")
	fmt.Printf("%d entries, leaf %d, growth %d to %d\n", tree.N, id, old.N, signed.N)
}
