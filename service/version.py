"""The version of the program, as pictures and answers carry it."""

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    try:
        return version("fewstep")
    except PackageNotFoundError:  # run from a checkout that nothing was installed from
        return "0+checkout"


VERSION = installed_version()
