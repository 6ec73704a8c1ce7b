{#- Columns of a loader's table: {name: type}, lower-case; {} where the table is not there (a family that was never
    loaded), none where nothing may be asked and all is taken to be there. -#}
{% macro source_columns(relation) %}
  {%- if not execute or not var('signalwire_introspect') -%}
    {{ return(none) }}
  {%- endif -%}
  {%- set there = adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
  {%- set columns = {} -%}
  {%- if there -%}
    {%- for column in adapter.get_columns_in_relation(there) -%}
      {%- do columns.update({column.name | lower: column.dtype | lower}) -%}
    {%- endfor -%}
  {%- endif -%}
  {{ return(columns) }}
{% endmacro %}


{#- The newest version of each row of a loader's table, its columns typed; a column that the table lacks is null.

    Loaders that upsert keep one row a log; of those that append, the version columns tell the newest. Where neither
    is there, the version that has come furthest is it: deleted, then `progress` (an expression), then the charge. -#}
{% macro newest_rows(family, columns, key=['id'], progress='0') %}
  {%- set relation = source('signalwire', family) -%}
  {%- set present = signalwire_logs.source_columns(relation) -%}
  {%- set versions = [] -%}
  {%- for name in var('signalwire_version_columns') -%}
    {%- if present and name in present -%}{%- do versions.append(name) -%}{%- endif -%}
  {%- endfor -%}
with typed as (
  select
    {%- for name, kind in columns.items() %}
    {{ signalwire_logs.typed(name, kind, present) }} as {{ signalwire_logs.column_name(name) }},
    {%- endfor %}
    {{ signalwire_logs.typed('_sdc_extracted_at', 'timestamp', present if present is not none else {}) }} as extracted_at
    {%- for name in versions %},
    {{ adapter.quote(name) }} as version_{{ loop.index }}
    {%- endfor %}
  {%- if present is not none and not present %}
  from (select 1 as nothing) as no_table
  where 1 = 0
  {%- else %}
  from {{ relation }}
  {%- endif %}
),

numbered as (
  select
    *,
    row_number() over (
      partition by {{ key | join(', ') }}
      order by
        {%- for name in versions %}
        version_{{ loop.index }} desc nulls last,
        {%- endfor %}
        {%- if 'discarded_at' in columns %}
        case when discarded_at is null then 0 else 1 end desc,
        {%- endif %}
        {{ progress }} desc
        {%- if 'charge' in columns %},
        charge desc nulls last
        {%- endif %}
    ) as version_number
  from typed
)

select
  {%- for name in columns %}
  {{ signalwire_logs.column_name(name) }},
  {%- endfor %}
  extracted_at
from numbered
where version_number = 1
{% endmacro %}


{#- Names that are keywords get a name of their own. -#}
{% macro column_name(name) %}
  {{- return({'from': 'from_number', 'to': 'to_number'}.get(name, name)) -}}
{% endmacro %}


{#- A column of a loader's table as text, integer, money, timestamp (UTC, without a zone), boolean or details. -#}
{% macro typed(name, kind, present) %}
  {%- set missing = present is not none and name not in present -%}
  {%- set column = 'null' if missing else adapter.quote(name) -%}
  {%- set type = (present or {}).get(name, '') -%}
  {%- if kind == 'text' -%}
    cast({{ column }} as {{ dbt.type_string() }})
  {%- elif kind == 'integer' -%}
    cast({{ column }} as {{ dbt.type_bigint() }})
  {%- elif kind == 'boolean' -%}
    cast({{ column }} as {{ dbt.type_boolean() }})
  {%- elif kind == 'money' -%}
    {{ signalwire_logs.money(column) }}
  {%- elif kind == 'timestamp' -%}
    {{ 'cast(null as ' ~ dbt.type_timestamp() ~ ')' if missing else signalwire_logs.in_utc(column, type) }}
  {%- elif kind == 'details' -%}
    {{ signalwire_logs.details(column, type, missing) }}
  {%- endif -%}
{% endmacro %}


{#- Dollars with nine digits behind the point: exact decimals, also of what a loader landed as a double. -#}
{% macro money(expression) -%}
  cast({{ expression }} as decimal(28, 9))
{%- endmacro %}


{#- An instant in UTC, whatever the loader's column is. -#}
{% macro in_utc(column, type) %}
  {{- return(adapter.dispatch('in_utc', 'signalwire_logs')(column, type)) -}}
{% endmacro %}

{% macro default__in_utc(column, type) -%}
  cast({{ column }} as {{ dbt.type_timestamp() }})
{%- endmacro %}

{% macro duckdb__in_utc(column, type) -%}
  {%- if 'with time zone' in type -%}
    make_timestamp(epoch_us({{ column }}))
  {%- else -%}
    cast({{ column }} as timestamp)
  {%- endif -%}
{%- endmacro %}

{% macro postgres__in_utc(column, type) -%}
  {%- if 'with time zone' in type -%}
    {{ column }} at time zone 'UTC'
  {%- else -%}
    cast({{ column }} as timestamp)
  {%- endif -%}
{%- endmacro %}


{#- The entries of a charge: a JSON array, on BigQuery an array of structs. -#}
{% macro details(column, type, missing) %}
  {{- return(adapter.dispatch('details', 'signalwire_logs')(column, type, missing)) -}}
{% endmacro %}

{% macro default__details(column, type, missing) -%}
  cast({{ column }} as json)
{%- endmacro %}

{% macro postgres__details(column, type, missing) -%}
  {#- The loaders' jsonb[] and a jsonb that is an array become the same. -#}
  {%- if missing or type in ('text', 'character varying') -%}
    cast({{ column }} as jsonb)
  {%- else -%}
    to_jsonb({{ column }})
  {%- endif -%}
{%- endmacro %}

{% macro bigquery__details(column, type, missing) -%}
  {{ 'cast([] as array<struct<description string, charge float64>>)' if missing else column }}
{%- endmacro %}


{#- One row for each entry of a charge, of a family's staging model. -#}
{% macro detail_rows(family, model) %}
  {{- return(adapter.dispatch('detail_rows', 'signalwire_logs')(family, model)) -}}
{% endmacro %}

{% macro default__detail_rows(family, model) -%}
select
  '{{ family }}' as family,
  id as log_id,
  entry ->> 'description' as description,
  {{ signalwire_logs.money("entry ->> 'charge'") }} as charge
from (
  select id, unnest(cast(charge_details as json[])) as entry
  from {{ model }}
) as {{ family }}_entries
{%- endmacro %}

{% macro postgres__detail_rows(family, model) -%}
select
  '{{ family }}' as family,
  logs.id as log_id,
  entries.entry ->> 'description' as description,
  {{ signalwire_logs.money("entries.entry ->> 'charge'") }} as charge
from {{ model }} as logs
cross join lateral jsonb_array_elements(
  case when jsonb_typeof(logs.charge_details) = 'array' then logs.charge_details end
) as entries (entry)
{%- endmacro %}

{% macro bigquery__detail_rows(family, model) -%}
select
  '{{ family }}' as family,
  logs.id as log_id,
  entry.description as description,
  {{ signalwire_logs.money('entry.charge') }} as charge
from {{ model }} as logs
cross join unnest(logs.charge_details) as entry
{%- endmacro %}
