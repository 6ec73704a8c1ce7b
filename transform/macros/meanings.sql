{#- What the models agree on: which statuses are final, what a rate is, what time it is. -#}

{#- Raised when a column of `message_enhanced` gets another meaning: every row is then made anew. -#}
{% macro meaning_version() -%}1{%- endmacro %}


{#- The outcome of a message: delivered, undelivered, failed, received, pending, no_receipt (an outbound MMS that is
    sent: carriers give no receipts for those) or unknown (a status that the models do not know). -#}
{% macro outcome(status, direction, kind) -%}
case
  when {{ status }} in ('delivered', 'read') then 'delivered'
  when {{ status }} in ('undelivered', 'failed', 'received') then {{ status }}
  when {{ status }} = 'sent' and {{ kind }} = 'mms' and {{ direction }} like 'outbound%' then 'no_receipt'
  when {{ status }} in ('queued', 'initiated', 'sent') then 'pending'
  else 'unknown'
end
{%- endmacro %}


{#- Which of two versions of a message came later, where nothing else tells. -#}
{% macro message_progress() -%}
case
  when status in ('delivered', 'undelivered', 'failed', 'received') then 4
  when status = 'read' then 5
  when status = 'sent' then 3
  when status = 'initiated' then 2
  when status = 'queued' then 1
  else 0
end
{%- endmacro %}


{#- Share of messages with an outcome that were delivered; null where none has one. -#}
{% macro delivery_rate(delivered, undelivered, failed) -%}
cast({{ delivered }} as {{ signalwire_logs.type_double() }}) / nullif({{ delivered }} + {{ undelivered }} + {{ failed }}, 0)
{%- endmacro %}


{#- A bound of the 95% interval of a rate (Wilson's score): `sign` is + for the upper and - for the lower one.

    Few messages make a wide interval, so a ranking by its bounds is not led by numbers with three messages. -#}
{% macro rate_bound(good, all, sign) -%}
{%- set n = 'cast(nullif(' ~ all ~ ', 0) as ' ~ signalwire_logs.type_double() ~ ')' -%}
{%- set p = '(' ~ good ~ ' / ' ~ n ~ ')' -%}
{{ 'least(1.0, ' if sign == '+' else 'greatest(0.0, ' -}}
({{ p }} + 1.9208 / {{ n }} {{ sign }} 1.96 * sqrt(({{ p }} * (1 - {{ p }}) + 0.9604 / {{ n }}) / {{ n }}))
/ (1 + 3.8416 / {{ n }}))
{%- endmacro %}


{#- The time of the run, or SIGNALWIRE_NOW (ISO 8601, UTC) where the data's clock is another one. -#}
{% macro right_now() -%}
{%- set told = env_var('SIGNALWIRE_NOW', '') -%}
cast('{{ told[:19] | replace('T', ' ') if told else run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}' as {{ dbt.type_timestamp() }})
{%- endmacro %}


{#- The time of the run by this machine's clock. -#}
{% macro run_time() -%}
cast('{{ run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f') }}' as {{ dbt.type_timestamp() }})
{%- endmacro %}


{#- The number of rows where a condition holds. -#}
{% macro count_where(condition) -%}
count(case when {{ condition }} then 1 end)
{%- endmacro %}


{#- What replaces changed days of a table with a grain of days. -#}
{% macro by_days() -%}
{{ return('insert_overwrite' if target.type == 'bigquery' else 'delete+insert') }}
{%- endmacro %}


{#- A floating-point number of 64 bits. -#}
{% macro type_double() -%}
{{ return('float64' if target.type == 'bigquery' else 'double precision') }}
{%- endmacro %}


{#- A sum of integers, as an integer: PostgreSQL would make it a numeric, and DuckDB one of 128 bits. -#}
{% macro whole_sum(expression) -%}
cast(sum({{ expression }}) as {{ dbt.type_bigint() }})
{%- endmacro %}
