"""A policy: one immutable version of how an agent acts. It is what is proposed, signed, tried and put in charge.

Its identity is the SHA-256 of its RFC 8785 bytes, so that the same content has the same name in every language and
nothing in it can change unnoticed. It does not know its status: that is what happened to it, and stands in the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from burnish.errors import InvalidValue

Scalar: TypeAlias = str | int | float | bool
FAILURES = ("quality", "timeout", "rate_limit", "server_error", "connection")
ANY = "*"
MOST_BYTES = 1_000_000
EXACT = 2**53
EXPONENTIAL = 1e21
"""Whole numbers from EXACT up to here are written without an exponent in RFC 8785, and not read back exactly."""


PROVENANCE = ("parent", "lineage", "experiment", "author", "created", "note")
"""Fields that say where a policy came from, not how an agent acts."""


class RoutingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model serves the runs that fit."""

    when: Mapping[str, str | Sequence[str]] = {}
    """`task_type` or the name of a feature → the value, or values, it must have; empty fits every run."""
    model: str

    def fits(self, task_type: str, features: Mapping[str, object]) -> bool:
        """Tell whether the rule speaks of such a run."""
        facts = {**features, "task_type": task_type}
        return all(_matches(facts.get(name), wanted) for name, wanted in self.when.items())


class FallbackRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is tried, in order, after a model failed in some way."""

    after: str = ANY
    """The model that failed."""
    kind: str = ANY
    """How it failed: quality, timeout, rate_limit, server_error or connection."""
    models: Sequence[str]

    def fits(self, model: str, kind: str) -> bool:
        """Tell whether the rule speaks of such a failure."""
        return self.after in {ANY, model} and self.kind in {ANY, kind}


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an agent acts: prompts, parameters, routing and fallback rules, tools, context and loss weights.

    What is left empty is left to configuration and learning, as if there were no policy.
    """

    tenant: str
    agent: str
    task_type: str = ""
    """The one task type it is for; empty means all those that have no policy of their own."""
    prompts: Mapping[str, str] = {}
    """Name → text. `system` opens the messages of a decision."""
    parameters: Mapping[str, Scalar] = {}
    """For every model: temperature, max_tokens, …"""
    model_parameters: Mapping[str, Mapping[str, Scalar]] = {}
    """Model → parameters that replace those for every model."""
    models: Sequence[str] = ()
    """Who may be chosen."""
    routing: Sequence[RoutingRule] = ()
    """The first rule that fits decides; where none does, learning does."""
    fallbacks: Sequence[FallbackRule] = ()
    """The first rule that fits gives the order; where none does, learning does."""
    tools: Sequence[str] | None = None
    """Tools the agent may call; None means any."""
    context: Mapping[str, Scalar] = {}
    """Settings of the context builder."""
    loss_weights: Mapping[str, float] = {}
    """Term → weight of the loss that the agent's runs are given while this policy is active."""
    high_stakes: bool = False
    """A person has to approve it before it becomes active."""
    parent: str | None = None
    """Digest of the policy it was made from."""
    lineage: Sequence[str] = ()
    """Digests from its parent back to the first."""
    experiment: str | None = None
    """Id of the experiment that made it."""
    author: str
    """Who proposed it: `person:NAME` or `learner:NAME`."""
    created: str
    """When, RFC 3339 in UTC."""
    note: str = ""
    """Why, in words."""

    @property
    def canonical(self) -> bytes:
        """Return its RFC 8785 bytes: what is hashed and signed.

        Raises:
            InvalidValue: A number has no exact form (NaN, infinity, an integer of 2⁵³ or more).
        """
        import rfc8785

        try:
            return rfc8785.dumps(msgspec.to_builtins(self))
        except (rfc8785.CanonicalizationError, ValueError) as error:  # ValueError: a name that is no Unicode text
            raise InvalidValue("policy", self.agent, f"it has no canonical form: {error}") from error

    @property
    def digest(self) -> str:
        """Return its identity: `sha256:` and 64 hexadecimal digits."""
        return digest_of(self.canonical)

    @property
    def slot(self) -> tuple[str, str, str]:
        """Return what it competes for: (tenant, agent, task type)."""
        return self.tenant, self.agent, self.task_type

    def differs_only_in_routing(self, other: Policy) -> bool:
        """Tell whether the two would act alike on every run if they chose the same model for it."""
        told, others = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return all(told[name] == others[name] for name in told if name not in {*PROVENANCE, "models", "routing"})

    def parameters_for(self, model: str) -> dict[str, Scalar]:
        """Return the parameters of a call to a model."""
        return {**self.parameters, **self.model_parameters.get(model, {})}

    def model_for(self, task_type: str, features: Mapping[str, object]) -> str | None:
        """Return the model that the rules give a run, or None when learning decides."""
        return next((rule.model for rule in self.routing if rule.fits(task_type, features)), None)

    def order_after(self, model: str, kind: str) -> Sequence[str] | None:
        """Return what the rules try after a failure, or None when learning decides."""
        return next((rule.models for rule in self.fallbacks if rule.fits(model, kind)), None)


def digest_of(canonical: bytes) -> str:
    """Return the digest of canonical bytes."""
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def read(canonical: bytes | str) -> Policy:
    """Return the policy that was written as JSON, checked.

    Raises:
        InvalidValue: It is not one; names the field.
    """
    try:
        found = msgspec.json.decode(canonical, type=Policy)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidValue("policy", canonical[:60], f"it is not a policy: {error}") from error
    return checked(found)


def checked(policy: Policy) -> Policy:
    """Return the policy when every field of it is in range.

    Raises:
        InvalidValue: A field is not; names it and the remedy.
    """
    for field in ("tenant", "agent", "author"):
        name = getattr(policy, field)
        if not 0 < len(name) <= 200:
            raise InvalidValue(field, name, "give a name of 1 to 200 characters")
    if not policy.author.startswith(("person:", "learner:")):
        raise InvalidValue("author", policy.author, "say who proposed it: person:NAME or learner:NAME")
    for parameters in (policy.parameters, policy.context, *policy.model_parameters.values()):
        _check_scalars(parameters)
    _check_rules(policy)
    _check_weights(policy.loss_weights)
    if len(policy.canonical) > MOST_BYTES:
        raise InvalidValue(
            "policy", policy.agent, f"it is over {MOST_BYTES:,} bytes: keep documents in the knowledge base"
        )
    return policy


def _check_scalars(parameters: Mapping[str, Scalar]) -> None:
    for name, value in parameters.items():
        if isinstance(value, (int, float)) and EXACT <= abs(value) < EXPONENTIAL:
            raise InvalidValue(f"parameters[{name!r}]", value, "give a number below 2^53, or write it as text")


def _check_rules(policy: Policy) -> None:
    models = [
        *policy.models,
        *(rule.model for rule in policy.routing),
        *(m for r in policy.fallbacks for m in r.models),
    ]
    for model in models:
        if not 0 < len(model) <= 200:
            raise InvalidValue("models", model, "give names of 1 to 200 characters")
    for rule in policy.routing:
        if policy.models and rule.model not in policy.models:
            raise InvalidValue("routing", rule.model, "the rules may only name models that the policy allows")
    for fallback in policy.fallbacks:
        if fallback.kind not in {ANY, *FAILURES}:
            raise InvalidValue("fallbacks", fallback.kind, f"give one of {', '.join(FAILURES)}, or {ANY!r} for any")
        if not fallback.models:
            raise InvalidValue("fallbacks", fallback.after, "name at least one model to try")


def _check_weights(weights: Mapping[str, float]) -> None:
    for term, weight in weights.items():
        if not 0.0 <= weight <= 1e6:
            raise InvalidValue(f"loss_weights[{term!r}]", weight, "give a number from 0 to 1e6")
    if weights and not sum(weights.values()) > 0:
        raise InvalidValue("loss_weights", dict(weights), "give at least one weight above 0")


def _matches(found: object, wanted: str | Sequence[str]) -> bool:
    return str(found) == wanted if isinstance(wanted, str) else str(found) in wanted
