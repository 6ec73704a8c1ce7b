{%- set families = {
  'message_logs': ref('stg_signalwire__message_logs'),
  'voice_logs': ref('stg_signalwire__voice_logs'),
  'fax_logs': ref('stg_signalwire__fax_logs'),
  'video_logs': ref('stg_signalwire__video_logs'),
  'conference_logs': ref('stg_signalwire__conference_logs'),
} -%}
{% for family, model in families.items() %}
{{ signalwire_logs.detail_rows(family, model) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
