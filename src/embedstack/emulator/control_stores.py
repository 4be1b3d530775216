"""REST v2's routes of what machines are made from: templates, network volumes, registry credentials."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator.control_account import Account
from embedstack.emulator.control_bodies import (
    NewRegistry,
    NewTemplate,
    NewVolume,
    TemplateChange,
    TemplateMounts,
    VolumeChange,
)
from embedstack.emulator.control_machines import VOLUME_KINDS, center
from embedstack.emulator.control_problem import Problem, missing
from embedstack.emulator.control_route import Ask, at, listed, nothing, reply
from embedstack.emulator.control_shapes import Registry, Shown, Template, Volume, changed, sent, shown

Stored = TypeVar("Stored", bound=Shown)


class Stores:
    """Handlers of `/v2/templates`, `/v2/network-volumes` and `/v2/registries`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            at("/v2/templates", GET=self.templates, POST=self.new_template),
            at("/v2/templates/{id}", GET=self.template, PATCH=self.change_template, DELETE=self.end_template),
            at("/v2/network-volumes", GET=self.volumes, POST=self.new_volume),
            at("/v2/network-volumes/{id}", GET=self.volume, PATCH=self.change_volume, DELETE=self.end_volume),
            at("/v2/registries", GET=self.registries, POST=self.new_registry),
            at("/v2/registries/{id}", GET=self.registry, DELETE=self.end_registry),
        ]

    # ------------------------------------------------------------------------------------------------ templates

    def templates(self, ask: Ask) -> Response:
        """All templates."""
        return self._all("templates", self._account.templates, ask)

    def new_template(self, ask: Ask) -> Response:
        """One more."""
        body = ask.body(NewTemplate)
        template = Template(id=self._account.new_id(), **sent(body))
        return self._stored(self._account.templates, template)

    def template(self, ask: Ask) -> Response:
        """One template."""
        return reply(shown(_known(self._account.templates, ask)))

    def change_template(self, ask: Ask) -> Response:
        """What was made from it stays as it is."""
        template = _known(self._account.templates, ask)
        fields = sent(ask.body(TemplateChange))
        if fields.get("mounts") == TemplateMounts():  # an empty one changes nothing
            del fields["mounts"]
        after = changed(template, fields)
        self._account.templates[template.id] = after
        return reply(shown(after))

    def end_template(self, ask: Ask) -> Response:
        """Not while there is an endpoint that was made of it; of pods none is told here."""
        template = _known(self._account.templates, ask)
        if template.id in self._account.bound.values():
            raise Problem(400, f"template {template.id!r} is in use by a serverless endpoint")
        del self._account.templates[template.id]
        return nothing()

    # ------------------------------------------------------------------------------------------------ volumes

    def volumes(self, ask: Ask) -> Response:
        """All network volumes."""
        return self._all("networkVolumes", self._account.volumes, ask)

    def new_volume(self, ask: Ask) -> Response:
        """One more, in a data centre that stays."""
        body = ask.body(NewVolume)
        if center(body.data_center) is None:
            raise Problem(400, f"data center {body.data_center!r} is not known")
        self._account.afford()
        kind = VOLUME_KINDS[0] if body.type is UNSET else body.type
        volume = Volume(**{**sent(body), "type": kind}, id=self._account.new_id())
        return self._stored(self._account.volumes, volume)

    def volume(self, ask: Ask) -> Response:
        """One network volume."""
        return reply(shown(_known(self._account.volumes, ask)))

    def change_volume(self, ask: Ask) -> Response:
        """It can only grow."""
        volume = _known(self._account.volumes, ask)
        body = ask.body(VolumeChange)
        if body.size is not UNSET and body.size < volume.size:
            raise Problem(400, f"size {body.size} is below the {volume.size} GB that the volume has")
        after = changed(volume, sent(body))
        self._account.volumes[volume.id] = after
        return reply(shown(after))

    def end_volume(self, ask: Ask) -> Response:
        """It is gone."""
        del self._account.volumes[_known(self._account.volumes, ask).id]
        return nothing()

    # ------------------------------------------------------------------------------------------------ credentials

    def registries(self, ask: Ask) -> Response:
        """All registry credentials."""
        return self._all("registries", self._account.registries, ask)

    def new_registry(self, ask: Ask) -> Response:
        """User and password are not kept."""
        body = ask.body(NewRegistry)
        return self._stored(self._account.registries, Registry(id=self._account.new_id(), name=body.name))

    def registry(self, ask: Ask) -> Response:
        """One credential."""
        return reply(shown(_known(self._account.registries, ask)))

    def end_registry(self, ask: Ask) -> Response:
        """Refused while a pod uses it; templates lose it."""
        account, registry = self._account, _known(self._account.registries, ask)
        if any(pod.config.registry == registry.id for pod in account.pods.values()):
            raise Problem(400, "the registry credential is in use by a pod")
        del account.registries[registry.id]
        for template in list(account.templates.values()):
            if template.registry == registry.id:
                account.templates[template.id] = changed(template, {"registry": None})
        return nothing()

    # ------------------------------------------------------------------------------------------------ parts

    def _all(self, key: str, kept: Mapping[str, Shown], ask: Ask) -> Response:
        return listed(key, [shown(one) for one in kept.values()], ask, self._account.page_size)

    def _stored(self, kept: dict[str, Stored], one: Stored) -> Response:
        kept[one.id] = one
        return reply(shown(one), 201)


def _known(kept: Mapping[str, Stored], ask: Ask) -> Stored:
    found = kept.get(ask.id)
    if found is None:
        raise missing()
    return found
