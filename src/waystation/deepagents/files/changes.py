"""Changes to an agent's files: typed fields replace what they stand for, ``files`` is merged by path (MDA 4.4, 7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from waystation.deepagents.errors import InvalidAgent
from waystation.deepagents.files import frontmatter
from waystation.deepagents.files.definition import PROMPT, SKILL, SKILLS, SUBAGENTS, TOOLS, folders
from waystation.deepagents.files.models import FileMap, Skill, Subagent, Tools
from waystation.deepagents.files.tree import Files, check_path, check_tree
from waystation.encoding import pretty

__all__ = ["TreeChanges"]


class TreeChanges(Struct, frozen=True):
    """What a request says of the files; None leaves a field as it is."""

    system_prompt: str | None = None
    tools: Tools | None = None
    subagents: Sequence[Subagent] | None = None
    skills: Sequence[Skill] | None = None
    files: FileMap | None = None
    deleted_paths: Sequence[str] | None = None

    @property
    def none(self) -> bool:
        """Whether the tree stays what it is."""
        given = (self.system_prompt, self.tools, self.subagents, self.skills, self.files, self.deleted_paths)
        return all(field is None for field in given)

    def applied_to(self, files: Files) -> dict[str, str]:
        """The tree after the changes. Raises InvalidAgent for paths and sizes that are not acceptable, and for two parts of the
        request that say something about the same file."""
        typed = self._typed()
        raw = {path: _content(path, entry) for path, entry in (self.files or {}).items()}
        deleted = list(self.deleted_paths or ())
        for where, paths in (("files", raw), ("deleted_paths", deleted)):
            for path in paths:
                check_path(path, where)
                if path in typed:
                    raise InvalidAgent(f"leave {path!r} out of {where}: a typed field of the same request sets it")
        if both := sorted(raw.keys() & set(deleted)):
            raise InvalidAgent(f"leave {both[0]!r} out of files or of deleted_paths: it is in both")
        gone = {*self._replaced(files), *deleted}
        changed = {path: content for path, content in files.items() if path not in gone}
        changed |= typed | raw
        check_tree(changed)
        return changed

    def _typed(self) -> dict[str, str]:
        """The files that the typed fields stand for."""
        found: dict[str, str] = {}
        if self.system_prompt is not None:
            found[PROMPT] = self.system_prompt
        if self.tools is not None:
            found[TOOLS] = pretty(self.tools.plain())
        _require_unique("subagents", [each.name.casefold() for each in self.subagents or ()])
        for subagent in self.subagents or ():
            folder = f"{SUBAGENTS}/{subagent.name}/"
            fields = {"description": subagent.description, "model_id": subagent.model_id}
            found[folder + PROMPT] = frontmatter.write(fields, subagent.instructions or "")
            if subagent.tools is not None:
                found[folder + TOOLS] = pretty(subagent.tools.plain())
        _require_unique("skills", [each.name for each in self.skills or ()])
        for skill in self.skills or ():
            found |= _of_skill(skill)
        return found

    def _replaced(self, files: Files) -> Iterable[str]:
        """The paths that the typed fields had before. Other files of a subagent stay as long as there is the subagent."""
        if self.skills is not None:
            for name, paths in folders(files, SKILLS).items():
                if f"{SKILLS}/{name}/{SKILL}" in paths:
                    yield from paths
        if self.subagents is not None:
            kept = {each.name for each in self.subagents}
            for name, paths in folders(files, SUBAGENTS).items():
                folder = f"{SUBAGENTS}/{name}/"
                if name in kept:
                    yield from (folder + PROMPT, folder + TOOLS)
                elif folder + PROMPT in paths:
                    yield from paths


def _of_skill(skill: Skill) -> dict[str, str]:
    folder = f"{SKILLS}/{skill.name}/"
    fields = {"name": skill.name, "description": skill.description}
    found = {folder + SKILL: frontmatter.write(fields, skill.instructions or "")}
    for path, content in skill.files.items():
        check_path(path, f"the files of the skill {skill.name!r}")
        if folder + path in found:
            raise InvalidAgent(f"leave {path!r} out of the files of the skill {skill.name!r}: its other fields set it")
        found[folder + path] = content
    return found


def _require_unique(field: str, names: Sequence[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidAgent(f"rename one of the {field}: {min(twice)!r} is there twice")


def _content(path: str, entry: Any) -> str:
    if entry.type == "skill":
        raise InvalidAgent(f"send the skill at {path!r} in 'skills': this server has no skill repositories to link to")
    if entry.repo_handle is not None or entry.commit_id is not None:
        raise InvalidAgent(
            f"leave repo_handle and commit_id out of {path!r}: only entries of the type 'skill' have them"
        )
    if entry.content is None:
        raise InvalidAgent(f"give {path!r} a 'content': an entry of the type 'file' needs one")
    content: str = entry.content
    return content
