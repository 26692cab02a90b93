"""Actions on the line: changeover, pause, challenge parts, models. Each goes through ``Control``, which audits it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from pydantic import BaseModel

from qc.console.accounts import Role
from qc.console.api.answers import audit_answer
from qc.console.endpoint import Call, Endpoint
from qc.console.schema.base import Done
from qc.console.schema.line import (
    CameraBody,
    ChallengeAnswer,
    ChallengeBody,
    LineAnswer,
    ModelAnswer,
    ModelBody,
    ReasonBody,
    RecipeAnswer,
    RecipeBody,
    ReplayBody,
    TriggerBody,
)
from qc.domain.errors import BundleError
from qc.domain.model import ModelCard
from qc.domain.ports import Clock
from qc.domain.recipe import Recipe
from qc.line import Setup
from qc.publish.payloads import RecipeRelease
from qc.wiring import Edge

log = structlog.get_logger(__name__)

_COMMANDS: tuple[tuple[str, type[BaseModel], Role, str], ...] = (
    ("recipe", RecipeBody, Role.OPERATOR, "Changeover to another variant, between two parts"),
    ("pause", ReasonBody, Role.OPERATOR, "Planned stop: no new triggers"),
    ("resume", ReasonBody, Role.OPERATOR, "Go on"),
    ("trigger", TriggerBody, Role.OPERATOR, "Take one picture now"),
    ("snapshot", CameraBody, Role.OPERATOR, "Keep the picture of the camera's last part"),
    ("challenge", ChallengeBody, Role.OPERATOR, "The next part is this known-defective part"),
    ("model", ModelBody, Role.ENGINEER, "A step of a model's release"),
    ("replay", ReplayBody, Role.ENGINEER, "Publish events again from a sequence number on"),
)


class LineApi:
    def __init__(self, edge: Edge, clock: Clock) -> None:
        self._edge, self._clock = edge, clock

    def endpoints(self) -> list[Endpoint]:
        look = Endpoint(
            "GET", "/api/v1/line", self._line, LineAnswer, "Recipes, models, challenge parts, recent actions", tag="line"
        )
        actions = [
            Endpoint(
                "POST",
                f"/api/v1/line/{name}",
                self._act(name),
                Done,
                summary,
                role=role,
                body=body,
                tag="line",
                errors=(404, 409),
            )
            for name, body, role, summary in _COMMANDS
        ]
        return [look, *actions]

    def _act(self, name: str) -> Callable[[Call], Done]:
        def act(call: Call) -> Done:
            result = self._edge.control.handle(call.command(name, call.body.model_dump(mode="json", exclude_none=True)))
            return Done(result={key: value for key, value in result.items() if not isinstance(value, list | dict)})

        return act

    def _line(self, _call: Call) -> LineAnswer:
        edge = self._edge
        setup = edge.line.setup
        window = edge.street.shifts.window_of(self._clock.now())
        due = {part.challenge_id for part in edge.street.register.due(setup.recipe.variant, window)}
        recipes = [recipe for variant in edge.shelf.variants() if (recipe := edge.shelf.recipe(variant)) is not None]
        return LineAnswer(
            recipes=[_recipe(recipe, active=recipe.variant == setup.recipe.variant) for recipe in recipes],
            models=self._models(setup),
            releases=[RecipeRelease.model_validate(release, strict=False) for release in edge.rollout.status()],
            available=edge.registry.models(),
            challenges=[
                ChallengeAnswer(
                    challenge_id=part.challenge_id,
                    part_id=part.part_id,
                    variant=part.variant,
                    defect_type=part.defect_type,
                    severity=part.severity,
                    due=part.challenge_id in due,
                    last_used=part.last_used,
                )
                for part in edge.truth.challenge_parts()
            ],
            challenge_served=edge.control.serves("challenge"),
            paused=edge.line.status().paused,
            recent=[audit_answer(entry) for entry in edge.store.audit_trail(limit=30)],
        )

    def _models(self, setup: Setup) -> list[ModelAnswer]:
        """What judges now, then what else the registry says of the active variant."""
        found = [_model(setup.inspector.card, "active")]
        state = self._edge.registry.state(setup.recipe.variant)
        if state is None:
            return found
        if state.previous is not None:
            found += self._registered(state.previous.model, "previous")
        if state.shadow is not None:
            found += self._registered(state.shadow.slot.model, "shadow", state.shadow.share, state.shadow.since)
        if state.canary is not None:
            found += self._registered(state.canary.slot.model, "canary", state.canary.share, state.canary.since)
        return found

    def _registered(
        self, model_id: str, phase: str, share: float | None = None, since: datetime | None = None
    ) -> list[ModelAnswer]:
        try:
            return [_model(self._edge.registry.card(model_id), phase, share, since)]
        except BundleError as error:  # the registry names a bundle that is gone or damaged
            log.warning("model_not_shown", model=model_id, error=str(error))
            return []


def _recipe(recipe: Recipe, *, active: bool) -> RecipeAnswer:
    return RecipeAnswer(
        variant=recipe.variant,
        version=recipe.version,
        model=recipe.model_id,
        review_at=recipe.review_at,
        reject_at=recipe.reject_at,
        deadline_ms=recipe.deadline_ms,
        roi=None if recipe.roi is None else list(recipe.roi),
        ignored_areas=len(recipe.ignore),
        labels_per_window=recipe.sampling.labels_per_window,
        stops_line=recipe.halt.stop_line,
        part_id_prefixes=list(recipe.part_id_prefixes),
        active=active,
    )


def _model(card: ModelCard, phase: str, share: float | None = None, since: datetime | None = None) -> ModelAnswer:
    rates: dict[str, dict[str, Any]] = {name: dict(rate) for name, rate in card.rates.items() if isinstance(rate, Mapping)}
    return ModelAnswer(
        model=card.model_id,
        sha256=card.sha256,
        phase=phase,
        share=share,
        since=since,
        created_at=card.created_at,
        rates=rates,
        limits=list(card.limits),
    )
