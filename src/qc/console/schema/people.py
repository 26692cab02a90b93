"""Logging in, and who may."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from qc.console.schema.base import Answer, Body


class LoginBody(Body):
    name: Annotated[str, Field(max_length=100)]
    password: Annotated[str, Field(max_length=1000)]


class PasswordBody(Body):
    old: Annotated[str, Field(max_length=1000)]
    new: Annotated[str, Field(max_length=1000)]


class SessionAnswer(Answer):
    """user is empty for a visitor. role is null when nothing may be seen without logging in. csrf: header X-CSRF-Token."""

    user: str
    role: Literal["viewer", "operator", "engineer", "admin"] | None
    csrf: str
    login_needed: bool
    edge: str
    version: str
    broker_websocket_url: str
    has_users: bool


class UserBody(Body):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    role: Literal["viewer", "operator", "engineer", "admin"]
    password: Annotated[str, Field(max_length=1000)]


class UserAnswer(Answer):
    name: str
    role: str
    created_at: AwareDatetime


class UsersAnswer(Answer):
    users: list[UserAnswer]
