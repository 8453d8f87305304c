"""Where secrets come from: made on the host, an environment variable, or an age file; never a plain file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from settings.types import Model, VariableName, printable


class SecretSource(Model):
    """
    One secret of an app.

    + source: "generated" (made on the host when it is missing, and kept there), "environment" (a
      variable of the machine that runs pyinfra) or "age" (an encrypted file)
    + length: characters of a generated secret, default 40
    + variable: for "environment", the variable's name
    + file: for "age", the encrypted file, relative to the project; its content is YAML, name: value
    + key: for "age", the entry in that file, default the secret's own name
    """

    source: Literal["generated", "environment", "age"]
    length: Annotated[int, Field(ge=20, le=200)] = 40
    variable: VariableName | None = None
    file: str | None = None
    key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _never_plain(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(
                "is written in plain text in a tracked file: change that secret now, for it is known; "
                "then write {'source': 'generated'}, 'environment' or 'age'"
            )
        return value

    @model_validator(mode="after")
    def _complete(self) -> SecretSource:
        if self.source == "environment" and self.variable is None:
            raise ValueError("needs 'variable', the name of the environment variable that holds it")
        if self.source == "age" and self.file is None:
            raise ValueError("needs 'file', the age-encrypted YAML file that holds it")
        return self


class SecretReference(Model):
    """The value of a variable that is a secret: {"secret": NAME}."""

    secret: str


def _text(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError(
            "is a table; one service's variables are text or numbers, secrets are the whole app's"
        )
    return _variable(value)


def _variable(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, dict):
        return SecretReference.model_validate(value)
    if not isinstance(value, str | SecretReference):
        raise ValueError("is neither text nor a number nor {'secret': NAME}")
    if isinstance(value, str):
        printable(value)
        if re.search(r"://[^/\s:@]*:[^/\s@]+@", value):
            raise ValueError("has a password in its address; make the password a secret of its own")
    return value


VariableText = Annotated[str, BeforeValidator(_text)]
# InstanceOf: what _variable made is checked already, and a plain union would name its branches in errors.
VariableValue = Annotated[InstanceOf[str] | InstanceOf[SecretReference], BeforeValidator(_variable)]

# What nobody writes in plain text by mistake twice.
SECRET_NAMES = re.compile(
    r"(^|_)(PASS|PASSWORD|PASSWD|PWD|SECRET|TOKEN|DSN|(API|PRIVATE|SECRET|ACCESS)_KEY)$"
)
