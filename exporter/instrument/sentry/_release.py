"""Which release is running: what the environment says, or the git revision, read without a process."""

from collections.abc import Mapping
from pathlib import Path

# Ours first, then what hosting platforms set.
VARIABLES = (
    "SENTRY_RELEASE",
    "RELEASE_VERSION",
    "RELEASE",
    "VERSION",
    "HEROKU_BUILD_COMMIT",
    "SOURCE_VERSION",
    "CODEBUILD_RESOLVED_SOURCE_VERSION",
    "CIRCLE_SHA1",
    "GAE_DEPLOYMENT_ID",
    "K_REVISION",
)
_FOLDERS = 8  # so many parents are looked into
_SMALL, _LARGE = 4_096, 8_000_000  # bytes of a reference; of all packed references
_DIGITS = frozenset("0123456789abcdef")


def of(environment: Mapping[str, str], folder: Path) -> tuple[str, str]:
    """Return the release and where it comes from; two empty strings when nothing tells."""
    for name in VARIABLES:
        value = environment.get(name, "").strip()
        if value:
            return value, name
    try:
        revision = git_revision(folder)
    except (OSError, ValueError):
        revision = ""
    return (revision, "git") if revision else ("", "")


def git_revision(folder: Path) -> str:
    """Return the checked-out commit of the repository that a folder is in; "" where there is none.

    Only small files are read: `git` itself may be missing, slow, or refuse a folder of another user.
    Raises OSError or ValueError for a repository that cannot be read.
    """
    for each in [folder, *folder.parents][:_FOLDERS]:
        git = each / ".git"
        if git.exists():
            return _revision(_directory(git))
    return ""


def _directory(git: Path) -> Path:
    if git.is_dir():
        return git
    # A worktree or submodule: a file says where the folder is.
    return git.parent / _read(git, _SMALL).removeprefix("gitdir:").strip()


def _revision(git: Path) -> str:
    head = _read(git / "HEAD", _SMALL).strip()
    if not head.startswith("ref:"):
        return _checked(head)
    name = head.removeprefix("ref:").strip()
    common = git / "commondir"
    folders = [git, git / _read(common, _SMALL).strip()] if common.exists() else [git]
    for folder in folders:
        if (folder / name).is_file():
            return _checked(_read(folder / name, _SMALL).strip())
    for folder in folders:
        packed = folder / "packed-refs"
        for line in _read(packed, _LARGE).splitlines() if packed.is_file() else ():
            revision, _, found = line.partition(" ")
            if found == name:
                return _checked(revision)
    return ""


def _checked(revision: str) -> str:
    return revision if len(revision) in (40, 64) and _DIGITS.issuperset(revision) else ""


def _read(path: Path, most: int) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(most)
