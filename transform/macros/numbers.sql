{#- Whether a text matches a regular expression. -#}
{% macro matches(expression, pattern) %}
  {{- return(adapter.dispatch('matches', 'signalwire_logs')(expression, pattern)) -}}
{% endmacro %}

{% macro default__matches(expression, pattern) -%}
  regexp_matches({{ expression }}, '{{ pattern }}')
{%- endmacro %}

{% macro postgres__matches(expression, pattern) -%}
  {{ expression }} ~ '{{ pattern }}'
{%- endmacro %}

{% macro bigquery__matches(expression, pattern) -%}
  regexp_contains({{ expression }}, r'{{ pattern }}')
{%- endmacro %}


{#- Digits of the longest prefix in the seed `number_prefixes`; tests/prefixes_are_no_longer_than_is_looked_for.sql holds it. -#}
{% macro longest_prefix() %}{{ return(10) }}{% endmacro %}
