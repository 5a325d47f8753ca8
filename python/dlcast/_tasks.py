"""The tasks of the loaded plugins, by name and by id."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any, overload

from dlcast import _native
from dlcast._errors import TaskLookupError
from dlcast._signature import NativeFunction


class Task(NativeFunction):
    """A function that a plugin names; called like any `NativeFunction`. It is found, never scheduled."""

    __slots__ = ("id", "name", "plugin")

    id: int
    """The same on every rank; never used for another task."""
    plugin: str
    name: str

    def __init__(self, entry: _native.TaskEntry) -> None:
        """Of what the library has found."""
        super().__init__(entry.address, entry.signature)
        self.id, self.plugin, self.name = entry.id, entry.plugin, entry.name

    def __repr__(self) -> str:
        """Names it."""
        return f"<dlcast.Task {self.plugin}.{self.name} {self.signature!r}, id {self.id}>"

    def _name(self) -> str:
        return f"task {self.plugin}.{self.name}"


class PluginTasks(Mapping[str, Task]):
    """The tasks of one plugin, by name, as they are when they are asked for."""

    def __init__(self, session: int, plugin: str) -> None:
        """Of a session that the library has made."""
        self._session = session
        self._plugin = plugin

    def __getitem__(self, name: str) -> Task:
        """Finds a task."""
        if not isinstance(name, str):
            raise TaskLookupError(f"a task of a plugin is found by its name, not by {name!r}")
        return Task(_native.native().task_find(self._session, self._plugin, name))

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the plugin's table."""
        plugin = self._loaded()
        library = _native.native()
        for index in range(plugin["tasks"]):
            yield library.task_get(self._session, (plugin["number"] << 32) | index).name

    def __len__(self) -> int:
        """How many there are."""
        return int(self._loaded()["tasks"])

    def __repr__(self) -> str:
        """Says whose tasks they are."""
        return f"<dlcast.tasks of plugin {self._plugin!r}>"

    @property
    def version(self) -> str:
        """The plugin's, in its author's words."""
        return str(self._loaded()["version"])

    def _loaded(self) -> dict[str, Any]:
        for plugin in _native.native().plugins(self._session):
            if plugin["name"] == self._plugin:
                return plugin
        raise TaskLookupError(f"no plugin `{self._plugin}` is loaded")


class Tasks(Mapping[str, PluginTasks]):
    """The loaded plugins, by name; and each task by its id."""

    def __init__(self, session: int) -> None:
        """Of a session that the library has made."""
        self._session = session

    @overload
    def __getitem__(self, key: str) -> PluginTasks: ...
    @overload
    def __getitem__(self, key: int) -> Task: ...
    def __getitem__(self, key: str | int) -> PluginTasks | Task:
        """The tasks of a plugin, or the task with an id, whoever sent it."""
        library = _native.native()
        if isinstance(key, str):
            loaded = [plugin["name"] for plugin in library.plugins(self._session)]
            if key not in loaded:
                known = f"; loaded are {', '.join(loaded)}" if loaded else ""
                raise TaskLookupError(f"no plugin `{key}` is loaded{known}")
            return PluginTasks(self._session, key)
        try:
            number = operator.index(key)
        except TypeError:
            raise TypeError(
                f"plugins are found by name, tasks by id, neither by a {type(key).__name__}"
            ) from None
        if not 0 <= number < 1 << 64:
            raise TaskLookupError(f"{number} is no id of a task")
        return Task(library.task_get(self._session, number))

    def get(self, key: str | int, default: Any = None) -> Any:
        """As `[key]`, or the default where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        """The names of the loaded plugins, in the order in which they were loaded."""
        return iter([str(plugin["name"]) for plugin in _native.native().plugins(self._session)])

    def __len__(self) -> int:
        """How many plugins are loaded."""
        return len(_native.native().plugins(self._session))

    def __repr__(self) -> str:
        """Names the plugins."""
        return f"<dlcast.tasks of {', '.join(self) or 'no plugin'}>"
