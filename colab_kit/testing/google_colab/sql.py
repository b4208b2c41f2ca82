"""google.colab.sql: SQL cells, which ask BigQuery; it is not here, so the calls are refused."""

from typing import Any

from ._seam import world


class bigquery:
    """The functions of google.colab.sql.bigquery."""

    @staticmethod
    def set_credentials(creds: Any = None, project_id: str | None = None) -> None:
        """Say who asks. The stand-in notes the call."""
        world().note("set_credentials", project_id=project_id)

    @staticmethod
    def validate(sql: str) -> Any:
        """Let BigQuery check a statement; here answers["bigquery.validate"]."""
        return _ask("validate", sql)

    @staticmethod
    def run(sql: str) -> Any:
        """Let BigQuery carry out a statement; here answers["bigquery.run"], as a DataFrame."""
        return _ask("run", sql)


def _ask(call: str, sql: str) -> Any:
    what = f"google.colab.sql.bigquery.{call}() asks Google's BigQuery"
    answer = world().service(f"bigquery.{call}", what, 'pd.DataFrame({"a": [1]})')
    return answer(sql) if callable(answer) else answer
