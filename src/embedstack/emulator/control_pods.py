"""REST v2's routes of pods: they are placed, changed, started, stopped and ended, and what they cost is noted."""

from msgspec import UNSET
from starlette.responses import Response
from starlette.routing import Route

from embedstack.emulator.control_account import Account
from embedstack.emulator.control_bodies import Cpu, Mounts, NewPod, PodAction, PodChange, PodGpu
from embedstack.emulator.control_endpoint import check_cpu
from embedstack.emulator.control_machines import MOST_GPUS, card
from embedstack.emulator.control_pod import Pod, PodConfig, TakenGpu, check_mounts, patched, view
from embedstack.emulator.control_problem import Problem, missing, no_machine
from embedstack.emulator.control_route import Ask, at, listed, nothing, reply
from embedstack.emulator.control_shapes import Fields, Template, container

WRONG_STATE = "action {action!r} is not valid for a pod that is {status}"


class Pods:
    """Handlers of `/v2/pods`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            at("/v2/pods", GET=self.read_all, POST=self.create),
            at("/v2/pods/{id}", GET=self.read, PATCH=self.update, DELETE=self.delete),
            at("/v2/pods/{id}/action", POST=self.act),
            at("/v2/pods/{id}/logs", GET=self.logs),
        ]

    def read_all(self, ask: Ask) -> Response:
        """All pods."""
        now = self._account.now()
        pages = [view(pod, now) for pod in self._account.pods.values()]
        return listed("pods", pages, ask, self._account.page_size)

    def create(self, ask: Ask) -> Response:
        """A pod is there at once, and runs after a while."""
        account, body = self._account, ask.body(NewPod)
        template_id = body.template_id
        template = None if template_id is UNSET else account.template(template_id, is_serverless=False)
        pod = self._placed(body, template)
        account.pods[pod.id] = pod
        self._charge(pod)
        return reply(view(pod, account.now()), 201)

    def read(self, ask: Ask) -> Response:
        """One pod."""
        return reply(view(self._known(ask), self._account.now()))

    def update(self, ask: Ask) -> Response:
        """What the body names changes."""
        account, pod = self._account, self._known(ask)
        body = ask.body(PodChange)
        template_id = body.template_id
        template = None if template_id is UNSET else account.template(template_id, is_serverless=False)
        pod.config = patched(pod.config, body, template)
        if body.global_networking is not UNSET:
            pod.is_networked = body.global_networking
        self._charge(pod)
        return reply(view(pod, account.now()))

    def delete(self, ask: Ask) -> Response:
        """It is gone, and costs nothing from now on."""
        self._end(self._known(ask))
        return nothing()

    def act(self, ask: Ask) -> Response:
        """Start, stop, restart or terminate."""
        account, pod = self._account, self._known(ask)
        action, now = ask.body(PodAction).action, account.now()
        if action not in pod.actions(now):
            raise Problem(409, WRONG_STATE.format(action=action, status=pod.status(now)))
        match action:
            case "terminate":
                self._end(pod)
                return nothing()
            case "start":
                account.afford()
                pod.start(now, account.pace)
            case "stop":
                pod.stop(now)
            case "restart":
                pod.restart(now, account.pace)
        self._charge(pod)
        return reply(view(pod, now))

    def logs(self, ask: Ask) -> Response:
        """No container runs behind a pod here, so it has written nothing."""
        self._known(ask)
        return Response("", media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    # ------------------------------------------------------------------------------------------------ parts

    def _known(self, ask: Ask) -> Pod:
        pod = self._account.pods.get(ask.id)
        if pod is None:
            raise missing()
        return pod

    def _charge(self, pod: Pod) -> None:
        now = self._account.now()
        self._account.ledger.enter(f"pods/{pod.id}", pod.line(now), now)

    def _end(self, pod: Pod) -> None:
        del self._account.pods[pod.id]
        self._account.ledger.enter(f"pods/{pod.id}", None, self._account.now())

    def _placed(self, body: NewPod, template: Template | None) -> Pod:
        """The pod that a body asks for, on a machine that is free.

        Raises:
            Problem: 400, the body breaks a rule, or no machine is free; 402, there is no money.
        """
        account = self._account
        gpu, cpu = _machine(body)
        config = _configured(body, template, is_cpu=cpu is not None)
        network = [] if config.mounts.network is UNSET else config.mounts.network
        places = account.check_places(body.data_center_ids, [mount.volume_id for mount in network])
        account.afford()
        if account.catalog.level(gpu.id if gpu else cpu.id if cpu else "") == "NONE":
            raise no_machine()
        now, pace = account.now(), account.pace
        starting_at = now + pace.provisioning_s
        return Pod(
            id=account.new_id(),
            config=config,
            gpu=gpu,
            cpu=cpu,
            center_id=places[0],
            created_at=now,
            starting_at=starting_at,
            running_at=starting_at + pace.starting_s,
            is_networked=body.global_networking,
        )


def _machine(body: NewPod) -> tuple[TakenGpu | None, Cpu | None]:
    if (body.gpu is UNSET) == (body.cpu is UNSET):
        raise Problem(400, "exactly one of gpu or cpu must be set")
    if body.cpu is not UNSET:
        check_cpu(body.cpu)
        if body.global_networking:
            raise Problem(400, "globalNetworking requires an NVIDIA GPU")
        return None, body.cpu
    assert body.gpu is not UNSET  # one of the two is set
    return _gpu(body.gpu, body.cloud), None


def _gpu(gpu: PodGpu, cloud: str) -> TakenGpu:
    found = card(gpu.id)
    if found is None:
        raise Problem(400, f"GPU type {gpu.id!r} is not known")
    if gpu.allowed_cuda_versions is not UNSET and gpu.allowed_cuda_versions and gpu.min_cuda_version is not UNSET:
        raise Problem(400, "allowedCudaVersions and minCudaVersion are mutually exclusive")
    if gpu.count > MOST_GPUS or (cloud == "COMMUNITY" and found.community is None):
        raise no_machine()
    return TakenGpu(id=gpu.id, count=gpu.count)


def _configured(body: NewPod, template: Template | None, *, is_cpu: bool) -> PodConfig:
    """A CPU pod does not inherit a template's persistent storage."""
    fields: Fields = container(body, template)
    if body.mounts is not UNSET:
        check_mounts(body.mounts, is_cpu=is_cpu)
        fields["mounts"] = body.mounts
    elif template is not None and template.mounts.persistent is not UNSET and not is_cpu:
        fields["mounts"] = Mounts(persistent=template.mounts.persistent)
    return PodConfig(name=body.name, cloud=body.cloud, **fields)
