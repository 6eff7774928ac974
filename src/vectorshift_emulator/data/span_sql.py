"""The SQL that turns planned traces into rows of the ``events`` table.

A plan is two queries. ``numbered`` yields ``i`` (trace number) and ``slot`` (its shape);
``placed`` reads it as ``drawn`` (with the random words a, b, c and ``trace_key``) and adds
``wish_ms`` (wanted start, epoch ms), ``limit_ms`` (last allowed instant or NULL), and
``object_id``, ``status`` and ``error_message``, each NULL where the shape and chance decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vectorshift_emulator.data import catalogue, shapes

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_QUANTILES = catalogue.lognormal_per_mille(1024, 0.6)


def bits(word: str, shift: int, count: int) -> str:
    """Return SQL for ``count`` bits of the 64-bit random word ``word`` (a, b or c)."""
    return f"(({word} >> {shift}) & {(1 << count) - 1})::BIGINT"


def _factor(word: str, shift: int) -> str:
    """Return SQL for a log-normal factor in thousandths."""
    return f"$quantiles[1 + {bits(word, shift, 10)}]"


def _choice(items: str, word: str, shift: int, count: int) -> str:
    """Return SQL for one item of the list ``items``."""
    return f"{items}[1 + {bits(word, shift, count)} % len({items})]"


_DRAWN = """
    SELECT *,
        md5_number_lower($salt || '.' || i) AS a,
        md5_number_upper($salt || '.' || i) AS b,
        md5_number_lower($salt || ':' || i) AS c,
        md5($salt || '#' || i) AS trace_key
    FROM numbered"""

# Bits of the words: a = 0-6 and 7-31 the plan's, 32 object, 40 failure, 50 error, 56 user;
# b = 0 duration, 10 prompt, 20 completion, 30 switch of model, 37 model, 43 dialogue, 49 warp;
# c = 0-14 the plan's, 15 feedback, 18 search type, 20 session name, 26 second user, 34 source.
_CHOSEN = f"""
    SELECT placed.* EXCLUDE (object_id, status, error_message),
        slots.* EXCLUDE (slot),
        coalesce(placed.object_id, {_choice("slots.object_picks", "a", 32, 8)}) AS chosen_object,
        placed.status AS planned_status,
        placed.error_message AS planned_error,
        least(slots.median_ms * {_factor("b", 0)} // 1000 + 1, 1800000) AS drawn_ms,
        {_choice("slots.sources", "c", 34, 8)} AS source,
        1 + {bits("a", 56, 8)} % len($users) AS user_number,
        {_choice("$users", "a", 56, 8)} AS user_email
    FROM placed JOIN seed_slots slots USING (slot)"""

_TIMED = f"""
    SELECT chosen.*, o.* EXCLUDE (object_id, failures_per_1024, model_id, pipeline_id),
        o.object_id, o.pipeline_id,
        CASE WHEN uses_model THEN
            CASE WHEN {bits("b", 30, 7)} < 100 AND o.model_id IS NOT NULL THEN o.model_id
                 ELSE {_choice("$models", "b", 37, 6)} END
        END AS trace_model,
        CASE WHEN NOT is_run THEN 'success'
             ELSE coalesce(planned_status, CASE
                WHEN {bits("a", 40, 10)} < o.failures_per_1024 THEN 'failure' ELSE 'success' END)
        END AS run_status,
        coalesce(planned_error, {_choice("$errors", "a", 50, 6)}) AS run_error,
        CASE WHEN planned_status = 'in_progress' AND limit_ms IS NOT NULL THEN limit_ms - wish_ms
             ELSE drawn_ms END AS duration_ms,
        least(wish_ms, coalesce(limit_ms - duration_ms, wish_ms)) AS root_ms,
        CASE source WHEN 'schedule' THEN 'scheduler' WHEN 'twilio' THEN 'twilio'
             ELSE user_email END AS caller,
        CASE WHEN source <> 'schedule' THEN 'u_' || user_number END AS user_id,
        CASE WHEN uses_model THEN 180 * {_factor("b", 10)} // 1000 ELSE 0 END AS prompt_tokens,
        CASE WHEN uses_model AND run_status <> 'failure'
             THEN 90 * {_factor("b", 20)} // 1000 ELSE 0 END AS completion_tokens,
        substr(trace_key, 17, 16) AS execution_key,
        {bits("b", 49, 10)} - 512 AS warp,
        entity IN ('chatbot', 'session') AS in_session,
        substr(md5(o.object_id || user_email || wish_ms // 3600000), 1, 12) AS hour_key
    FROM chosen JOIN seed_objects o ON o.object_id = chosen.chosen_object"""

_TRACES = """
    SELECT timed.*,
        (prompt_tokens * m.prompt_price + completion_tokens * m.completion_price) AS nano_usd,
        CASE entity
            WHEN 'pipeline' THEN 'ex_' || execution_key
            WHEN 'bulkjob' THEN 'ex_' || execution_key
            WHEN 'chatbot' THEN 'conv_' || hour_key
            WHEN 'form' THEN 'sub_' || execution_key
            WHEN 'voicebot' THEN 'call_' || execution_key
            WHEN 'session' THEN 'ses_' || execution_key
            WHEN 'search' THEN 'qry_' || execution_key
        END AS run_id
    FROM timed LEFT JOIN seed_models m ON m.model_id = timed.trace_model"""

# The warp bends the time line of a trace by a monotone curve, so spans still nest but two traces
# of one shape do not share their proportions.
_SPANS = """
    SELECT traces.*, s.* EXCLUDE (slot),
        duration_ms * (s.begin_at + warp * s.begin_at * (1000 - s.begin_at) // 1000000) // 1000
            AS begin_ms,
        duration_ms * (s.end_at + warp * s.end_at * (1000 - s.end_at) // 1000000) // 1000 AS end_ms,
        parent < 0 AS is_root,
        is_root AND is_run AS counts_as_run,
        CASE WHEN run_status = 'failure' AND (breaks OR begin_at >= broken_from) THEN 'failure'
             WHEN run_status = 'in_progress' AND end_at > 850 THEN 'in_progress'
             ELSE 'success' END AS span_status,
        prompt_tokens * share_to // 1000 - prompt_tokens * share_from // 1000 AS span_prompt,
        completion_tokens * share_to // 1000 - completion_tokens * share_from // 1000
            AS span_completion
    FROM traces JOIN seed_spans s USING (slot)
    WHERE i // $cycle * $cycle_rows + s.position < $rows"""

_ROWS = f"""
    SELECT
        'sp_' || substr(trace_key, 1, 16) || printf('%02d', span) AS span_id,
        'tr_' || substr(trace_key, 1, 16) AS trace_id,
        CASE WHEN NOT is_root THEN
            'sp_' || substr(trace_key, 1, 16) || printf('%02d', parent) END AS parent_span_id,
        kind AS span_kind,
        entity,
        make_timestamp((root_ms + begin_ms) * 1000) AS start_time,
        CASE WHEN span_status <> 'in_progress'
             THEN make_timestamp((root_ms + end_ms) * 1000) END AS end_time,
        span_status AS status,
        CASE WHEN span_status = 'failure'
             THEN CASE WHEN breaks THEN run_error ELSE $skipped END END AS error_message,
        object_id,
        object_name,
        project_id,
        'ex_' || execution_key AS execution_id,
        run_id,
        source,
        caller,
        entity AS interface_type,
        object_name AS interface_name,
        CASE WHEN counts_as_run OR node_type = 'llm' THEN trace_model END AS model_id,
        node_type,
        CASE WHEN counts_as_run AND span_status <> 'in_progress'
             THEN duration_ms END::DOUBLE AS latency,
        CASE WHEN node_type IS NOT NULL AND span_status <> 'in_progress'
             THEN end_ms - begin_ms END::DOUBLE AS node_latency,
        CASE WHEN in_session THEN {_choice("$session_names", "c", 20, 6)} END AS session_name,
        CASE WHEN in_session THEN CASE WHEN c & 67108864 = 0 THEN [user_email]
             ELSE list_distinct([user_email, {_choice("$users", "c", 27, 7)}]) END
        END AS session_users,
        CASE WHEN in_session THEN source END AS session_source,
        CASE WHEN in_session THEN ['support', 'sales', 'internal'][1 + user_number % 3] END
            AS session_collection,
        CASE WHEN in_session THEN ['pipeline', 'knowledge_base'][1 + user_number % 2] END
            AS session_ai_source,
        CASE WHEN in_session THEN make_timestamp((root_ms + end_ms) * 1000) END
            AS session_last_message_time,
        pipeline_id,
        CASE WHEN kind IN ('chatbot.message_like', 'search.message_feedback')
             THEN CASE WHEN {bits("c", 15, 3)} < 6 THEN 'thumbs_up' ELSE 'thumbs_down' END
        END AS feedback_type,
        CASE WHEN entity = 'search'
             THEN ['semantic', 'keyword', 'hybrid', 'semantic'][1 + {bits("c", 18, 2)}] END
            AS search_type,
        user_id,
        counts_as_run AS is_run,
        CASE WHEN counts_as_run AND span_status <> 'in_progress'
             THEN prompt_tokens + completion_tokens END AS tokens,
        CASE WHEN tokens IS NOT NULL THEN coalesce(nano_usd, 0) / 1e9 END AS model_costs,
        CASE WHEN tokens IS NOT NULL THEN coalesce(nano_usd, 0) * $credits / 1e9 END AS ai_credits,
        CASE WHEN is_root THEN object_info END AS object_info,
        CASE
            WHEN tokens IS NOT NULL THEN concat(
                '{{"tokens":', tokens, ',"prompt_tokens":', prompt_tokens, ',"completion_tokens":',
                completion_tokens, ',"model_costs":', model_costs, ',"ai_credits":', ai_credits,
                '}}')
            WHEN node_type = 'llm' AND span_status <> 'in_progress' THEN concat(
                '{{"node_id":"llm_', span, '","prompt_tokens":', span_prompt,
                ',"completion_tokens":', span_completion, '}}')
            WHEN node_type IS NOT NULL
                THEN concat('{{"node_id":"', node_type, '_', span, '"}}')
            ELSE '{{}}'
        END AS span_attributes,
        CASE WHEN counts_as_run THEN {_choice("$dialogues", "b", 43, 6)} END AS interface_data
    FROM spans
    ORDER BY i, span"""


def insert(
    cursor: DuckDBPyConnection,
    numbered: str,
    placed: str,
    *,
    salt: str,
    rows: int,
) -> None:
    """Insert the rows of a plan (see the module) inside ``catalogue_tables``.

    Args:
        cursor: A DuckDB cursor; table ``events`` exists.
        numbered: Query that yields the traces.
        placed: Query over ``drawn`` that gives each trace its time and fate.
        salt: Seeds the random words; plans with different salts share nothing.
        rows: Rows beyond this number, counted from trace 0 of the cycle, are left out.
    """
    cursor.execute(
        f"""
        INSERT INTO events BY NAME
        WITH numbered AS ({numbered}), drawn AS ({_DRAWN}), placed AS ({placed}),
            chosen AS ({_CHOSEN}), timed AS ({_TIMED}), traces AS ({_TRACES}), spans AS ({_SPANS})
        {_ROWS}""",
        {
            "salt": salt,
            "rows": rows,
            "cycle": len(shapes.CYCLE),
            "cycle_rows": sum(len(shape.spans) for shape in shapes.CYCLE),
            "quantiles": _QUANTILES,
            "users": list(catalogue.USERS),
            "models": [model.model_id for model in catalogue.MODELS],
            "errors": list(catalogue.ERRORS),
            "session_names": list(catalogue.SESSION_NAMES),
            "dialogues": list(catalogue.DIALOGUES),
            "skipped": catalogue.SKIPPED,
            "credits": catalogue.CREDITS_PER_USD,
        },
    )
