"""Locks of every form, for properties."""

from __future__ import annotations

from hypothesis import strategies as st

from modelgrid.lock.values import Lock, LockedFile, LockedImage, LockedManifest, LockedModel

HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
DIGESTS = HEX.map("sha256:{}".format)
SIZES = st.integers(0, 2**50)
# a name of a file or of a model may have any character that UTF-8 has
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
MANIFESTS = st.builds(LockedManifest, digest=DIGESTS, size=SIZES)
IMAGES = st.builds(
    LockedImage, digest=DIGESTS, architectures=st.dictionaries(st.sampled_from(["amd64", "arm64"]), MANIFESTS)
)
FACTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=10),
    st.integers(-(2**53), 2**53),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
MODELS = st.builds(
    LockedModel,
    revision=st.one_of(st.just(""), DIGESTS, HEX.map(lambda text: text[:40])),
    files=st.dictionaries(NAMES, st.builds(LockedFile, size=SIZES, sha256=HEX), max_size=4),
    facts=st.dictionaries(NAMES, FACTS, max_size=3),
)
LOCKS = st.builds(
    Lock, images=st.dictionaries(NAMES, IMAGES, max_size=3), models=st.dictionaries(NAMES, MODELS, max_size=3)
)
