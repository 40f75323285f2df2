"""Reads a Strongroom repository without Strongroom: lists its points, restores one to a file.

Written from the pages beside it (docs/formats), with nothing of the program. Slow and small on purpose.

    reader.py FOLDER (--key-file FILE | --passphrase-file FILE) list
    reader.py FOLDER (--key-file FILE | --passphrase-file FILE) restore POINT TARGET
"""

import argparse
import json
import sys
from pathlib import Path

import zstandard
from argon2.low_level import Type, hash_secret_raw
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER_BYTES = 96
FOOTER_BYTES = 192
SPAN_BYTES = 4 << 20
FAN_OUT = 256
DIRECTORY = 0xFFFFFFFF
KIND = {"packs": 1, "nodes": 2, "points": 4}
SECTION = {"directory": 2, "body": 6}
KNOWN_SECTIONS = range(1, 11)


class Broken(Exception):
    """An object is not what the pages describe."""


def u16(data, at):
    return int.from_bytes(data[at : at + 2], "little")


def u32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def keyed(key, data):
    return blake3(data, key=key).digest()


def open_sealed(key, repository, obj, number, plain_length, codec, sealed):
    """README, "Sealing" in config-and-keys.md."""
    nonce = number.to_bytes(4, "little") + bytes(8)
    bound = repository + obj + number.to_bytes(4, "little")
    bound += plain_length.to_bytes(4, "little") + bytes([codec])
    return AESGCM(key).decrypt(nonce, bytes(sealed), bound)


def text_object(path):
    """One line of JSON, and its BLAKE3."""
    line, _, total = path.read_text().partition("\n")
    if total.strip() != blake3(line.encode()).hexdigest():
        raise Broken(f"{path.name}: the checksum does not match")
    return json.loads(line)


def keyring(path):
    """A keyring, and what its mac is of."""
    ring = text_object(path)
    if ring["version"] != 2:
        raise Broken(f"{path.name}: a keyring of version {ring['version']}")
    line, _, _ = path.read_text().partition("\n")
    ring["authenticated"] = line.partition(',"mac":')[0].encode() + b"}"
    return ring


def first_sound(paths, read=text_object):
    problem = None
    for path in paths:
        try:
            return read(path)
        except FileNotFoundError:
            continue
        except (Broken, ValueError) as error:
            problem = error
    if problem:
        raise Broken(str(problem))
    return None


def secret_key(lock, key_file, passphrase):
    if lock["kind"] == "key_file":
        if key_file is None:
            raise Broken("this repository is opened by a key file")
        head, digits = key_file.split()[:4], key_file.split()[-1]
        if " ".join(head) != "strongroom key file 1":
            raise Broken("not a key file")
        return bytes.fromhex(digits)
    if passphrase is None:
        raise Broken("this repository is opened by a passphrase")
    cost = lock["argon2"]
    return hash_secret_raw(
        passphrase.encode(),
        bytes.fromhex(lock["salt"]),
        cost["passes"],
        cost["memory_kib"],
        cost["lanes"],
        32,
        Type.ID,
    )


class Keys:
    """The key tree of config-and-keys.md."""

    def __init__(self, folder, key_file, passphrase):
        config = first_sound([folder / "config", folder / "config-copy"])
        if config is None:
            raise Broken("no repository here")
        self.repository = bytes.fromhex(config["id"].replace("-", ""))
        ring = self.newest_ring(folder)
        if ring is None:
            key = config["key"]
            ring = {"lock": key, "wrap_salt": key["salt"], "wrapped": [key["wrapped"]]}
        secret = secret_key(ring["lock"], key_file, passphrase)
        seal = secret
        if "mac" in ring:
            seal = blake3(secret, derive_key_context="strongroom v2 keyring seal").digest()
        wrapping = keyed(seal, bytes.fromhex(ring["wrap_salt"]))
        try:
            roots = [
                open_sealed(
                    wrapping,
                    self.repository,
                    self.repository,
                    generation,
                    32,
                    0,
                    bytes.fromhex(wrapped),
                )
                for generation, wrapped in enumerate(ring["wrapped"])
            ]
        except InvalidTag:
            raise Broken("wrong key") from None
        if "mac" in ring:
            mac = blake3(secret, derive_key_context="strongroom v2 keyring mac").digest()
            if keyed(mac, ring["authenticated"]) != bytes.fromhex(ring["mac"]):
                raise Broken("the keyring was changed by somebody without the key")
        self.chunk_id = self.derive(roots[0], "chunk id")
        self.node_id = self.derive(roots[0], "node id")
        self.seals = [
            (self.derive(root, "data seal"), self.derive(root, "metadata seal"))
            for root in roots
        ]

    @staticmethod
    def derive(root, purpose):
        return blake3(root, derive_key_context=f"strongroom v1 {purpose}").digest()

    @staticmethod
    def newest_ring(folder):
        folder = folder / "keys"
        names = {path.name.removesuffix("-copy") for path in folder.glob("*")}
        for name in sorted((n for n in names if len(n) == 16), reverse=True):
            try:
                ring = first_sound([folder / name, folder / f"{name}-copy"], keyring)
            except Broken:
                continue
            if ring is not None:
                return ring
        return None

    def object_key(self, header):
        kind, obj, salt = u16(header, 10), header[32:48], header[48:80]
        data, metadata = self.seals[u16(header, 12)]
        base = data if kind == KIND["packs"] else metadata
        return keyed(base, kind.to_bytes(2, "little") + obj + salt)


class Object:
    """Header, trailer and sections of README.md; every byte is checked against the trailer."""

    def __init__(self, path, kind, keys):
        self.data = data = path.read_bytes()
        self.keys, self.name = keys, path.name
        footer = data[-FOOTER_BYTES:]
        if len(data) < HEADER_BYTES + FOOTER_BYTES or footer[-8:] != b"STRGTAIL":
            raise Broken(f"{path}: no trailer")
        self.header = footer[:HEADER_BYTES]
        body, length, sections = u64(footer, 96), u64(footer, 104), u32(footer, 112)
        blocks = -(-body // (1 << 20))
        table = len(data) - FOOTER_BYTES - 24 * sections
        hashes = data[table - 32 * blocks : table]
        sound = (
            length == len(data) == body + 32 * blocks + 24 * sections + FOOTER_BYTES
            and blake3(data[table:-40]).digest() == footer[152:184]
            and blake3(hashes).digest() == footer[120:152]
            and data[:HEADER_BYTES] == self.header
        )
        for number in range(blocks):
            block = data[number << 20 : min((number + 1) << 20, body)]
            sound = sound and blake3(block).digest() == hashes[32 * number : 32 * number + 32]
        if not sound:
            raise Broken(f"{path}: damaged")
        if self.header[:8] != b"STRGROOM" or u16(self.header, 8) != 1:
            raise Broken(f"{path}: of another version")
        mine = self.header[16:32] == keys.repository
        if not mine or u16(self.header, 10) != kind or self.header[32:48].hex() != path.name:
            raise Broken(f"{path}: another object under this name")
        self.sections = {}
        for at in range(table, table + 24 * sections, 24):
            if u16(data, at) not in KNOWN_SECTIONS and u16(data, at + 2) & 1:
                raise Broken(f"{path}: a section that must be understood is not")
            self.sections[u16(data, at)] = (u64(data, at + 8), u64(data, at + 16))
        self.key = keys.object_key(self.header)

    def open(self, sealed, number, plain_length, codec):
        header = self.header
        return open_sealed(
            self.key, header[16:32], header[32:48], number, plain_length, codec, sealed
        )

    def section(self, kind):
        offset, length = self.sections[kind]
        return self.data[offset : offset + length]

    def body(self):
        sealed = self.section(SECTION["body"])
        return json.loads(self.open(sealed, 0, len(sealed) - 16, 0))


class Pack(Object):
    """pack.md"""

    def __init__(self, path, kind, keys):
        super().__init__(path, kind, keys)
        sealed = self.section(SECTION["directory"])
        plain = self.open(sealed, DIRECTORY, len(sealed) - 16, 0)
        frames, chunks = u32(plain, 0), u32(plain, 4)
        self.frames, self.chunks = [], []
        offset, at, table = HEADER_BYTES, 8, 8 + 16 * frames
        for number in range(frames):
            sealed_length, plain_length = u32(plain, at), u32(plain, at + 4)
            start = 0
            for _ in range(u32(plain, at + 8)):
                chunk = table + 36 * len(self.chunks)
                length = u32(plain, chunk + 32)
                self.chunks.append((plain[chunk : chunk + 32], number, start, length))
                start += length
            self.frames.append((offset, sealed_length, plain_length, plain[at + 12]))
            offset, at = offset + sealed_length, at + 16
        if len(self.chunks) != chunks:
            raise Broken(f"{path}: a directory that contradicts itself")
        self.cached = (None, b"")

    def frame(self, number):
        if self.cached[0] != number:
            offset, sealed_length, plain_length, codec = self.frames[number]
            sealed = self.data[offset : offset + sealed_length]
            plain = self.open(sealed, number, plain_length, codec)
            if codec == 1:
                plain = zstandard.ZstdDecompressor().decompress(
                    plain, max_output_size=plain_length
                )
            if len(plain) != plain_length:
                raise Broken(f"{self.name}: a frame of another length than stated")
            self.cached = (number, plain)
        return self.cached[1]

    def content(self, slot):
        _, frame, start, length = self.chunks[slot]
        return self.frame(frame)[start : start + length]


class Repository:
    def __init__(self, folder, keys):
        self.folder, self.keys = folder, keys
        self.packs = {}
        self.places = None

    def points(self):
        found = [
            (path.name, self.point(path)) for path in sorted(self.folder.glob("points/*"))
        ]
        return sorted(found, key=lambda item: (item[1]["created_at_us"], item[0]))

    def point(self, path):
        """point.md; a point counts if its object is there, and its copy is as good."""
        try:
            return Object(path, KIND["points"], self.keys).body()
        except (Broken, InvalidTag):
            copy = self.folder / "points-copy" / path.name
            if not copy.exists():
                raise
            return Object(copy, KIND["points"], self.keys).body()

    def pack(self, folder, name):
        if name not in self.packs:
            if len(self.packs) > 3:
                self.packs.pop(next(iter(self.packs)))
            path = self.folder / folder / name[:2] / name
            self.packs[name] = Pack(path, KIND[folder], self.keys)
        return self.packs[name]

    def find(self, folder, wanted, hint):
        """The chunk or node `wanted`: where the hint says, else wherever some pack's directory lists it."""
        try:
            pack = self.pack(folder, hint[0].hex())
            if pack.chunks[hint[1]][0] == wanted:
                return pack.content(hint[1])
        except (FileNotFoundError, Broken, InvalidTag, IndexError):
            pass
        if self.places is None:
            self.places = {}
            for kind in ("packs", "nodes"):
                for path in sorted(self.folder.glob(f"{kind}/*/*")):
                    for slot, chunk in enumerate(self.pack(kind, path.name).chunks):
                        self.places.setdefault(chunk[0], (path.name, slot))
        if wanted not in self.places:
            raise Broken(f"{wanted.hex()} is in no pack")
        name, slot = self.places[wanted]
        return self.pack(folder, name).content(slot)

    def leaves(self, wanted, hint, level, start):
        """tree.md: (offset in the image, length, chunk id, hint) of every chunk below a node, in order."""
        node = self.find("nodes", wanted, hint)
        length = u32(node, 0)
        canonical, hints = node[4 : 4 + length], node[4 + length :]
        if keyed(self.keys.node_id, canonical) != wanted or canonical[0] != level:
            raise Broken(f"node {wanted.hex()} is not what it should be")
        packs = u32(hints, 0)

        def place(number):
            at = 4 + 16 * packs + 8 * number
            pack = 4 + 16 * u32(hints, at)
            return hints[pack : pack + 16], u32(hints, at + 4)

        if level == 0:
            for number in range(u32(canonical, 4)):
                at = 8 + 40 * number
                offset, size = u32(canonical, at + 32), u32(canonical, at + 36)
                yield start + offset, size, canonical[at : at + 32], place(number)
            return
        present = [p for p in range(FAN_OUT) if canonical[4 + p // 8] >> (p % 8) & 1]
        for number, position in enumerate(present):
            at = 36 + 32 * number
            below = start + position * SPAN_BYTES * FAN_OUT ** (level - 1)
            child = canonical[at : at + 32]
            yield from self.leaves(child, place(number), level - 1, below)

    def restore(self, point, target):
        size, root = point["size_bytes"], bytes.fromhex(point["root"])
        with open(target, "wb") as image:
            image.truncate(size)
            if not any(root):
                return
            level = 0
            while SPAN_BYTES * FAN_OUT**level < size:
                level += 1
            hint = (bytes.fromhex(point["root_place"][0]), point["root_place"][1])
            for offset, length, chunk, place in self.leaves(root, hint, level, 0):
                content = self.find("packs", chunk, place)
                if keyed(self.keys.chunk_id, content) != chunk or len(content) != length:
                    raise Broken(f"chunk {chunk.hex()} is not what it should be")
                image.seek(offset)
                image.write(content)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", type=Path)
    secret = arguments.add_mutually_exclusive_group(required=True)
    secret.add_argument("--key-file", type=Path)
    secret.add_argument("--passphrase-file", type=Path)
    verbs = arguments.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    restore = verbs.add_parser("restore")
    restore.add_argument("point")
    restore.add_argument("target", type=Path)
    given = arguments.parse_args()
    key_file = given.key_file and given.key_file.read_text()
    passphrase = given.passphrase_file and given.passphrase_file.read_text().splitlines()[0]
    repository = Repository(given.folder, Keys(given.folder, key_file, passphrase))
    points = repository.points()
    if given.verb == "list":
        for name, point in points:
            print(name, point["size_bytes"], point["lineage"], point["name"])
        return
    fitting = [p for name, p in points if name.startswith(given.point)]
    if len(fitting) != 1:
        raise Broken(f"{len(fitting)} points fit `{given.point}`")
    repository.restore(fitting[0], given.target)


if __name__ == "__main__":
    try:
        main()
    except (Broken, InvalidTag, OSError) as error:
        sys.exit(f"reader: {error or 'decryption failed'}")
